"""Tables in documents list what the code has: finding codes, commands, exit statuses, ports, fuzz targets."""

import re

from tree import Finding

NAME = "tables"
ABOUT = "tables in documents list what the code has: finding codes, commands, exit statuses, ports, fuzz targets"

CODES_IN = ("userspace/config/analysis/analyze.h", "userspace/config/README.md")
COMMANDS, COMMANDS_IN = "tools/ctl/commands.cc", "tools/ctl/README.md"
STATUSES, STATUSES_IN = "tools/ctl/command.h", "tools/ctl/README.md"
PORTS, PORTS_IN = "userspace/server/options.h", "docs/istio.md"
FUZZ_IN = "SECURITY.md"


def check(tree):
    parts = [_codes(tree), _commands(tree), _statuses(tree), _ports(tree), _fuzz_targets(tree)]
    return f"{sum(count for count, _ in parts)} entries", [one for _, found in parts for one in found]


def _lines_with(tree, name, pattern):
    """{what the pattern's group matched: the line of its first match}, over a file."""
    found = {}
    for number, line in tree.lines(name) if name in tree.files else ():
        for text in re.findall(pattern, line):
            found.setdefault(text, number)
    return found


def _compare(have, want, path, what):
    """Findings for what `want` has and `have` has not, told at `path`, and the other way round at its line."""
    for text in sorted(want.keys() - have.keys()):
        yield Finding(path, 0, f"{what} {text} is not listed")
    for text in sorted(have.keys() - want.keys()):
        yield Finding(path, have[text], f"{what} {text} is listed, and the code has none")


def _codes(tree):
    used, listed, where = {}, {}, {}
    for name in tree.ending(".cc"):
        if name.startswith("userspace/"):
            used |= _lines_with(tree, name, r"\"(SM\d{4})\"")
    for name in CODES_IN:
        for code, line in _lines_with(tree, name, r"^(?://   |\| )(SM\d{4})\b").items():
            listed[code], where[code] = line, name
    findings = [Finding(CODES_IN[0], 0, f"finding {code} is neither listed here nor in {CODES_IN[1]}")
                for code in sorted(used.keys() - listed.keys())]
    findings += [Finding(where[code], listed[code], f"finding {code} is listed, and the code has none")
                 for code in sorted(listed.keys() - used.keys())]
    return len(used), findings


def _commands(tree):
    have = _lines_with(tree, COMMANDS_IN, r"(?:^\| |(?<=` )|(?<=`, ))`([a-z-]+)[ `]")
    want = _lines_with(tree, COMMANDS, r"^ +\{\"([a-z-]+)\",")
    return len(want), [one for one in _compare(have, want, COMMANDS_IN, "command") if not one.line]


def _statuses(tree):
    have = _lines_with(tree, STATUSES_IN, r"^\| (\d+) \|")
    want = _lines_with(tree, STATUSES, r"^inline constexpr int k\w+ = (\d+);")
    return len(want), list(_compare(have, want, STATUSES_IN, "exit status"))


def _ports(tree):
    rows = {number: line for text, line in _lines_with(tree, PORTS_IN, r"^\| (15\d{3}(?:, 15\d{3})*) \|").items()
            for number in text.split(", ")}
    want = _lines_with(tree, PORTS, r"= (15\d{3})[,;]")
    # The table also has ports that belong to others, so only what is missing is wrong.
    return len(want), [one for one in _compare(rows, want, PORTS_IN, "port") if not one.line]


def _fuzz_targets(tree):
    named, targets = _lines_with(tree, FUZZ_IN, r"fuzz target `(\w+)`"), set()
    for name in tree.ending("CMakeLists.txt"):
        targets |= set(re.findall(r"sockmesh_fuzz\((\w+)", tree.text(name)))
    return len(named), [Finding(FUZZ_IN, line, f"there is no fuzz target {name}")
                        for name, line in named.items() if name not in targets]
