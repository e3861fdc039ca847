"""Each header compiles alone, with the include paths of its own library: it includes what it needs itself."""

import os
import posixpath
import subprocess
import tempfile

from graph import Graph
from tree import Clean, Finding, Unable, in_parallel, tool

NAME = "headers"
ABOUT = "each header compiles alone"

# Includes itself what the kernel's side of a program needs.
BPF_FOLDER = "bpf/"


def check(tree):
    graph, clean = Graph(tree), Clean(tree, NAME)
    names = graph.touched_by(tree.changed, tree.ending(".h"))
    findings = in_parallel(tree.jobs, lambda name: _compile(tree, graph, clean, name), names)
    return f"{len(names)} headers", [one for one in findings if one]


def _compile(tree, graph, clean, name):
    arguments, folder = _command(tree, graph, name)
    key = "\0".join([*arguments, graph.content_key(name)])
    if clean.known(key):
        return None
    # A source that includes it, and not the header itself: "#pragma once in main file" is a warning.
    with tempfile.TemporaryDirectory(prefix="sockmesh-lint-") as scratch:
        source = os.path.join(scratch, "alone.c" if name.startswith(BPF_FOLDER) else "alone.cc")
        with open(source, "w", encoding="utf-8") as file:
            file.write(f'#include "{tree.root / name}"\n')
        ran = subprocess.run([*arguments, "-fsyntax-only", source], cwd=folder, capture_output=True, text=True)
    if ran.returncode == 0:
        clean.remember(key)
        return None
    errors = [line for line in ran.stderr.splitlines() if "error:" in line] or ran.stderr.splitlines() or ["no reason given"]
    return Finding(name, 0, f"does not compile alone: {errors[0].replace(f'{tree.root}/', '')}")


def _command(tree, graph, name):
    """How to compile a header: as the source of the same name, or any source of its folder or of one above."""
    if name.startswith(BPF_FOLDER):
        machine = os.uname().machine
        return [tool("clang", "clang-14"), "-target", "bpf", "-Wall", "-Wextra", f"-I{tree.root}/bpf",
                "-idirafter", f"/usr/include/{machine}-linux-gnu"], tree.root
    folder = posixpath.dirname(name)
    own = name.removesuffix(".h") + ".cc"
    below = sorted(one for one in graph.commands if posixpath.dirname(one) == folder)
    near = sorted(one for one in graph.commands if one.startswith(f"{folder}/"))
    for source in ([own] if own in graph.commands else []) + below + near:
        arguments, where = graph.commands[source]
        return _without_output(arguments), where
    raise Unable(f"{name}: no source of its folder is compiled; is {tree.build} configured for this tree?")


def _without_output(arguments):
    """The compiler and what says how to read a source; without a cache in front, source, output and dependencies."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in ("-o", "-c", "-MF", "-MT", "-MQ"):
            skip = True
        elif not argument.startswith(("-MD", "-MMD")) and os.path.basename(argument) not in ("ccache", "sccache"):
            kept.append(argument)
    return kept
