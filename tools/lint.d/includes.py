"""The links in CMakeLists.txt are the architecture, and they are true: a library includes what it links itself, and no
way along links or includes leads back to where it began."""

from graph import Graph
from tree import Finding

NAME = "includes"
ABOUT = "no include of a library that is not linked, none that a header's users would lack, no circle"

# Headers of packages, by how their names begin, and the targets that bring them. Debian has them all in /usr/include,
# so the compiler does not miss the link.
PACKAGES = {
    "spdlog/": "spdlog::spdlog", "fmt/": "fmt::fmt", "tl/expected": "tl::expected",
    "nlohmann/": "nlohmann_json::nlohmann_json", "CLI/": "CLI11::CLI11", "prometheus/": "prometheus-cpp::core",
    "httplib.h": "PkgConfig::HTTPLIB", "liburing": "PkgConfig::LIBURING", "ares.h": "PkgConfig::LIBCARES",
    "libfyaml.h": "PkgConfig::LIBFYAML", "sys/capability.h": "PkgConfig::LIBCAP", "bpf/bpf.h": "PkgConfig::LIBBPF",
    "bpf/libbpf.h": "PkgConfig::LIBBPF",
}


def check(tree):
    graph = Graph(tree)
    findings, looked_at = [], 0
    headers = tree.ending(".h")
    for library in (*graph.libraries.values(), *graph.programs):
        own = [name for name in headers if name.rpartition("/")[0] == library.folder and library.name in graph.libraries]
        own += sorted(library.sources & graph.known)
        looked_at += len(own)
        for name in own:
            findings += _check_file(graph, library, name)
    findings += _circles(graph)
    return f"{looked_at} files of {len(graph.libraries)} libraries and {len(graph.programs)} programs", findings


def _check_file(graph, library, name):
    visible = graph.all_links(library)
    # Headers of implementation are for the library's own sources.
    public = name.endswith(".h") and not name.endswith("_impl.h")
    for line, include, quoted in graph.includes(name):
        other = graph.library_of(include) if quoted else None
        if other and other is not library:
            if other.name not in library.links | library.private:
                yield Finding(name, line, f"includes \"{include}\", but {library.list_file}:{library.line} does not "
                                          f"link sockmesh::{other.name}")
            elif public and other.name not in library.links:
                yield Finding(name, line, f"a public header includes \"{include}\" of sockmesh::{other.name}, which "
                                          f"{library.list_file}:{library.line} links as PRIVATE")
        for beginning, target in PACKAGES.items():
            if not other and include.startswith(beginning) and target not in visible:
                yield Finding(name, line, f"includes <{include}>, but {library.list_file}:{library.line} links "
                                          f"nothing that brings {target}")


def _circles(graph):
    """Each circle of links, told once, at the library that comes first in the alphabet."""
    found = set()

    def walk(name, way):
        if name in way:
            circle = way[way.index(name):]
            first = circle.index(min(circle))
            found.add(tuple(circle[first:] + circle[:first]))
            return
        library = graph.libraries.get(name)
        for other in sorted(library.links | library.private) if library else ():
            walk(other, way + [name])

    for name in sorted(graph.libraries):
        walk(name, [])
    for circle in sorted(found):
        library = graph.libraries[circle[0]]
        yield Finding(library.list_file, library.line, "a circle of links: " + " -> ".join(circle + circle[:1]))
