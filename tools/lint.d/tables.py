"""Tables in documents list what the code has: finding codes, commands, exit statuses, ports, fuzz targets, the files in
which bounds stand, and the libraries that the picture of the layers shows. A table whose other side was not found
anywhere is a finding too: it has moved."""

import re

from tree import Finding

NAME = "tables"
ABOUT = "tables in documents list what the code has: finding codes, commands, exit statuses, ports, fuzz targets, bounds, layers"

CODES_IN = "userspace/config/README.md"
COMMANDS, COMMANDS_IN = "tools/ctl/commands.cc", "tools/ctl/README.md"
STATUSES, STATUSES_IN = "tools/ctl/command.h", "tools/ctl/README.md"
PORTS, PORTS_IN = "userspace/model/ports.h", "docs/istio.md"
FUZZ_IN = "SECURITY.md"
BOUNDS_IN = "userspace/README.md"
LAYERS, LAYERS_IN = "userspace/", "userspace/README.md"


def check(tree):
    parts = [_codes(tree), _commands(tree), _statuses(tree), _ports(tree), _fuzz_targets(tree), _bounds(tree),
             _layers(tree)]
    return f"{sum(count for count, _ in parts)} entries", [one for _, found in parts for one in found]


def _lines_with(tree, name, pattern):
    """{what the pattern's group matched: the line of its first match}, over a file."""
    found = {}
    for number, line in tree.lines(name) if name in tree.files else ():
        for text in re.findall(pattern, line):
            found.setdefault(text, number)
    return found


def _compare(tree, have, want, path, what):
    """Findings for what `want` has and `have` has not, told at `path`, and the other way round at its line."""
    if path in tree.files and not want:
        yield Finding(path, 0, f"there is no {what} in the code that this could be compared with: has it moved?")
        return
    for text in sorted(want.keys() - have.keys()):
        yield Finding(path, 0, f"{what} {text} is not listed")
    for text in sorted(have.keys() - want.keys()):
        yield Finding(path, have[text], f"{what} {text} is listed, and the code has none")


def _codes(tree):
    used = {}
    for name in tree.ending(".cc"):
        if name.startswith("userspace/"):
            used |= _lines_with(tree, name, r"\"(SM\d{4})\"")
    listed = _lines_with(tree, CODES_IN, r"^\| (SM\d{4}) \|")
    return len(used), list(_compare(tree, listed, used, CODES_IN, "finding"))


def _commands(tree):
    have = _lines_with(tree, COMMANDS_IN, r"(?:^\| |(?<=` )|(?<=`, ))`([a-z-]+)[ `]")
    want = _lines_with(tree, COMMANDS, r"^ +\{\"([a-z-]+)\",")
    return len(want), [one for one in _compare(tree, have, want, COMMANDS_IN, "command") if not one.line]


def _statuses(tree):
    have = _lines_with(tree, STATUSES_IN, r"^\| (\d+) \|")
    want = _lines_with(tree, STATUSES, r"^inline constexpr int k\w+ = (\d+);")
    return len(want), list(_compare(tree, have, want, STATUSES_IN, "exit status"))


def _ports(tree):
    rows = {number: line for text, line in _lines_with(tree, PORTS_IN, r"^\| (15\d{3}(?:, 15\d{3})*) \|").items()
            for number in text.split(", ")}
    want = _lines_with(tree, PORTS, r"= (15\d{3})[,;]")
    # The table also has ports that belong to others, so only what is missing is wrong.
    return len(want), [one for one in _compare(tree, rows, want, PORTS_IN, "port") if not one.line]


def _fuzz_targets(tree):
    named, targets = _lines_with(tree, FUZZ_IN, r"fuzz target `(\w+)`"), set()
    for name in tree.ending("CMakeLists.txt"):
        targets |= set(re.findall(r"sockmesh_fuzz\((\w+)", tree.text(name)))
    return len(named), [Finding(FUZZ_IN, line, f"there is no fuzz target {name}")
                        for name, line in named.items() if name not in targets]


def _bounds(tree):
    """The last column of a table of bounds says where each stands: `datapath/socket_bounds.h`, below its page's folder."""
    folder, inside, rows, findings = BOUNDS_IN.rpartition("/")[0], False, 0, []
    for number, line in tree.lines(BOUNDS_IN) if BOUNDS_IN in tree.files else ():
        if line.startswith("#"):
            inside = line == "## Bounds"
        if not inside or not line.startswith("|") or line.startswith(("| what ", "|---")):
            continue
        rows += 1
        beside = ""
        for path in re.findall(r"`([^`]+)`", line.split("|")[-2]):
            where = path if "/" in path else f"{beside}/{path}"
            beside = where.rpartition("/")[0]
            if f"{folder}/{where}" not in tree.files:
                findings.append(Finding(BOUNDS_IN, number, f"there is no {folder}/{where}"))
    return rows, findings


def _layers(tree):
    """The first picture of the page has a line for each library: `  upstream       load balancing, ...`."""
    picture = re.search(r"^```\n(.*?)^```$", tree.text(LAYERS_IN) if LAYERS_IN in tree.files else "", re.MULTILINE | re.DOTALL)
    shown, wanted = {}, {}
    if picture:
        first = tree.text(LAYERS_IN).count("\n", 0, picture.start(1)) + 1
        for number, line in enumerate(picture.group(1).splitlines(), start=first):
            if match := re.match(r" *([a-z_]+)  ", line):
                shown[match.group(1)] = number
    for name in tree.ending("CMakeLists.txt"):
        if name.startswith(LAYERS):
            for library in re.findall(r"\bsockmesh_library\((\S+)", tree.text(name)):
                wanted |= {part: 1 for part in library.split("/")}
    return len(wanted), list(_compare(tree, shown, wanted, LAYERS_IN, "library")) if picture else []
