"""Who includes whom, which library links which, and how a file is compiled: read from the sources, from the lists
in CMakeLists.txt and from compile_commands.json."""

import functools
import json
import posixpath
import re
import shlex
from dataclasses import dataclass, field

from tree import Unable

INCLUDE = re.compile(r"^\s*#\s*include\s+([<\"])([^>\"]+)[>\"]")


@dataclass
class Library:
    name: str    # "datapath", "config_source"
    prefix: str  # what its headers are included by: "datapath", "config/source"; of a program ""
    folder: str  # "userspace/datapath"
    list_file: str
    line: int
    links: set = field(default_factory=set)    # what its users get too
    private: set = field(default_factory=set)  # what it alone gets
    sources: set = field(default_factory=set)


class Graph:
    def __init__(self, tree):
        self.tree = tree
        self.libraries = {}  # by name
        self.programs = []
        self.prefixes = {}  # the libraries by what their headers are included by
        for name in tree.files:
            if posixpath.basename(name) == "CMakeLists.txt":
                self._read_list(name)
        self.folders = {library.folder: library for library in self.libraries.values()}

    def _read_list(self, name):
        folder = posixpath.dirname(name)
        text = re.sub(r"#.*", "", self.tree.text(name))
        for match in re.finditer(r"\bsockmesh_(library|program)\s*\(([^)]*)\)", text):
            words = match.group(2).split()
            prefix = words[0] if match.group(1) == "library" else ""
            library = Library(words[0].replace("/", "_"), prefix, folder, name, text.count("\n", 0, match.start()) + 1)
            lists = {"SOURCES": library.sources, "LINKS": library.links, "PRIVATE_LINKS": library.private}
            into = None
            for word in words[1:]:
                if word in lists:
                    into = lists[word]
                elif into is library.sources:
                    into.add(f"{folder}/{word}")
                elif into is not None:
                    into.add(word.removeprefix("sockmesh::"))
            if match.group(1) == "program":
                self.programs.append(library)
            else:
                self._add(library)
        # Header-only targets: sockmesh_include_root(target, the name it is included by, its folder)
        for match in re.finditer(r"\bsockmesh_include_root\s*\(\s*sockmesh_(\w+)\s+(\w+)\s+\S+?(/\w+)?\s*\)", text):
            target, prefix, below = match.groups()
            self._add(Library(target, prefix, folder + (below or ""), name, text.count("\n", 0, match.start()) + 1))

    def _add(self, library):
        self.libraries[library.name] = self.prefixes[library.prefix] = library

    def library_of(self, include):
        """The library that "model/snapshot.h" or "config/source/folder.h" belongs to, None for what is not ours."""
        prefix = posixpath.dirname(include)
        while prefix and prefix not in self.prefixes:
            prefix = posixpath.dirname(prefix)
        return self.prefixes.get(prefix)

    def all_links(self, library):
        """What its sources may see in the end: its own links and what those pass on."""
        seen, todo = set(), list(library.links | library.private)
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.libraries:
                todo += self.libraries[name].links
        return seen

    def includes(self, name):
        """(line, "model/snapshot.h", whether it is in quotes) of each include of a file."""
        for number, line in self.tree.lines(name):
            if match := INCLUDE.match(line):
                yield number, match.group(2), match.group(1) == '"'

    def file_of(self, name, include):
        """The file of the tree that `name` includes as "include", None when it is not in the tree."""
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(name), include))
        if beside in self.known:
            return beside
        library = self.library_of(include)
        path = library.folder + include.removeprefix(library.prefix) if library else None
        return path if path in self.known else None

    @functools.cached_property
    def known(self):
        return set(self.tree.files)

    @functools.cache
    def direct(self, name):
        found = (self.file_of(name, include) for _, include, _ in self.includes(name))
        return sorted({one for one in found if one})

    def closure(self, name):
        """A file and all files of the tree that it includes, directly or not."""
        seen, todo = set(), [name]
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += self.direct(one)
        return sorted(seen)

    def content_key(self, name):
        """Equal for equal content of a file and of everything of the tree that it includes."""
        return "\n".join(f"{one}\n{self.tree.text(one)}" for one in self.closure(name))

    def touched_by(self, changed, candidates):
        """Of the candidates, those that changed or include something that did."""
        return [name for name in candidates if not changed.isdisjoint(self.closure(name))]

    @functools.cached_property
    def commands(self):
        """How each source is compiled: arguments and the folder to do it in."""
        database = self.tree.build / "compile_commands.json"
        if not database.exists():
            raise Unable(f"there is no {database}: cmake --preset dev makes it")
        commands = {}
        for entry in json.loads(database.read_text()):
            path = posixpath.normpath(posixpath.join(entry["directory"], entry["file"]))
            arguments = entry.get("arguments") or shlex.split(entry["command"])
            if path.startswith(f"{self.tree.root}/"):
                name = path[len(f"{self.tree.root}/"):]
                # The programs of a folder may share a source; the first of them will do.
                commands.setdefault(name, (arguments, entry["directory"]))
        return commands
