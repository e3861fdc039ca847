"""The links in CMakeLists.txt are the architecture, and they are true: a library includes what it links itself, and
nothing else, links only what lies below it, and no way along links or includes leads back to where it began."""

import re

from graph import Graph
from tree import Finding

NAME = "includes"
ABOUT = "no include of what is not linked, or that a header's users would lack; no link for nothing, or upwards; no circle"

# Folders in the order of their layers, the lowest first: `foreach(library base model ...)`, and `room`, in a CMakeLists.txt.
LAYERS = re.compile(r"\bforeach\s*\(\s*(?:library|room)\s+([^)]*)\)")

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
        findings += _idle_links(graph, library, own)
    findings += [*_upwards(tree, graph), *_link_circles(graph), *_include_circles(graph, headers)]
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


def _idle_links(graph, library, own):
    """Links to libraries of ours of which nothing is included: they would let in what the architecture does not have."""
    included = [include for name in own for _, include, quoted in graph.includes(name) if quoted]
    used = {other.name for other in map(graph.library_of, included) if other}
    # A program includes what lies beside it by the bare name.
    used |= {other.name for other in graph.libraries.values() if other.folder == library.folder}
    for name in sorted((library.links | library.private) & graph.libraries.keys() - used):
        yield Finding(library.list_file, library.line, f"{library.name} links sockmesh::{name} and includes nothing of it")


def _upwards(tree, graph):
    """Links to a library of a later folder of a list of layers. Libraries of one folder are one layer here."""
    for name in tree.ending("CMakeLists.txt"):
        for order in LAYERS.findall(tree.text(name)):
            above = name.rpartition("/")[0]
            layers = {f"{above}/{folder}" if above else folder: number for number, folder in enumerate(order.split())}

            def layer(library):
                return next((layers[folder] for folder in layers if f"{library.folder}/".startswith(f"{folder}/")), None)

            for library in graph.libraries.values():
                for other in sorted(library.links | library.private):
                    other = graph.libraries.get(other)
                    here, there = layer(library), layer(other) if other else None
                    if here is not None and there is not None and there > here:
                        yield Finding(library.list_file, library.line,
                                      f"links sockmesh::{other.name}, which {name} has above it")


def _link_circles(graph):
    """Each circle of links, told once, at the library that comes first in the alphabet."""
    def links(name):
        library = graph.libraries.get(name)
        return library.links | library.private if library else ()

    for circle in _circles(graph.libraries, links):
        library = graph.libraries[circle[0]]
        yield Finding(library.list_file, library.line, "a circle of links: " + " -> ".join(circle + circle[:1]))


def _include_circles(graph, headers):
    """Headers of one library may include each other in a circle without a link that tells it; `#pragma once` hides it."""
    for circle in _circles(headers, graph.direct):
        yield Finding(circle[0], 0, "a circle of includes: " + " -> ".join(circle + circle[:1]))


def _circles(names, followers):
    """Each circle that a walk finds, as a tuple that begins with what comes first in the alphabet."""
    found, done = set(), set()

    def walk(name, way):
        if name in way:
            circle = way[way.index(name):]
            first = circle.index(min(circle))
            found.add(tuple(circle[first:] + circle[:first]))
        elif name not in done:
            for other in sorted(followers(name)):
                walk(other, way + [name])
            done.add(name)

    for name in sorted(names):
        walk(name, [])
    return sorted(found)
