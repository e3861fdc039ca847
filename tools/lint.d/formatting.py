"""C and C++ look as clang-format 14 makes them, by the .clang-format nearest to each file."""

import re
import subprocess

from tree import Finding, Unable, tool

NAME = "format"
ABOUT = "clang-format 14 would change nothing (--fix lets it)"


def check(tree):
    names = tree.ending(".h", ".cc", ".c")
    ran = _clang_format(tree, ["--dry-run"], names) if names else ""
    # "path:12:5: warning: code should be clang-formatted [-Wclang-format-violations]"; the first of a file is enough.
    first = {}
    for match in re.finditer(r"^(.+?):(\d+):\d+: (?:warning|error): code should be clang-formatted", ran, re.MULTILINE):
        first.setdefault(match.group(1), int(match.group(2)))
    return f"{len(names)} files", [Finding(name, line, "not as clang-format makes it: tools/lint --fix")
                                   for name, line in first.items()]


def fix(tree):
    if names := tree.ending(".h", ".cc", ".c"):
        _clang_format(tree, ["-i"], names)
        tree.text.cache_clear()


def _clang_format(tree, arguments, names):
    program = tool("clang-format-14", "clang-format")
    # Other versions make other choices; a tree can only be one version's.
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    if "version 14." not in version:
        raise Unable(f"{program} is {version.strip()}; expected version 14 (Debian's clang-format-14)")
    ran = subprocess.run([program, "-style=file", *arguments, *names], cwd=tree.root, capture_output=True, text=True)
    if ran.returncode != 0:
        raise Unable(f"{program}: {ran.stderr.strip()}")
    return ran.stderr
