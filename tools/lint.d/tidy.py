"""clang-tidy finds nothing, by the checks that .clang-tidy names."""

import os
import re
import subprocess

from graph import Graph
from tree import Clean, Finding, in_parallel, tool

NAME = "tidy"
ABOUT = "clang-tidy finds nothing, by the checks that .clang-tidy names (seconds a file)"

MESSAGE = re.compile(r"^(/.+?):(\d+):\d+: (?:warning|error): (.*)$", re.MULTILINE)


def check(tree):
    program = tool("clang-tidy-14", "clang-tidy")
    graph, clean, ours = Graph(tree), Clean(tree, NAME), set(tree.files)
    version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    settings = version + (tree.text(".clang-tidy") if ".clang-tidy" in tree.files else "")
    sources = [name for name in tree.ending(".cc") if name in graph.commands]
    # A changed header is looked at with the source of its name; that all who include it agree is the compiler's work.
    wanted = [name for name in sources
              if name in tree.changed or name.removesuffix(".cc") + ".h" in tree.changed]

    def look(name):
        arguments, _ = graph.commands[name]
        key = "\0".join([settings, *arguments, graph.content_key(name)])
        if clean.known(key):
            return set()
        ran = subprocess.run([program, "-p", str(tree.build), "--quiet", name], cwd=tree.root,
                             capture_output=True, text=True)
        # A header is named by the link in the build that it was found through.
        told = {Finding(os.path.relpath(os.path.realpath(path), tree.root), int(line),
                        text.replace(",-warnings-as-errors", ""))
                for path, line, text in MESSAGE.findall(ran.stdout)}
        # What the build generates, BPF skeletons, is nobody's here to mend.
        found = {finding for finding in told if finding.path in ours}
        if ran.returncode != 0 and not told:
            found = {Finding(name, 0, f"clang-tidy failed: {(ran.stderr.strip().splitlines() or ['no reason given'])[-1]}")}
        if not found:
            clean.remember(key)
        return found

    findings = set().union(*in_parallel(tree.jobs, look, wanted))
    return f"{len(wanted)} sources", list(findings)
