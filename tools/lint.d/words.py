"""Words that a finished tree does not have: unfinished marks, places of one machine, sources nobody else has."""

import re

from tree import Finding

NAME = "words"
ABOUT = "no unfinished marks, no path of somebody's machine, no citation of notes that are not in the tree"

# Written so that they do not match themselves.
FORBIDDEN = (
    (re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X]|HAC[K]|WI[P]|TB[D])\b"), "an unfinished mark: finish it, or say in prose what is not done"),
    (re.compile(r"<<<<<<[<] |>>>>>>[>] "), "a conflict that was not settled"),
    (re.compile(r"(?<![\w.}])/(?:wor[k]|hom[e]/\w+|roo[t]|User[s]/\w+)/\w"), "a path of somebody's machine"),
    (re.compile(r"\b[Ff]act[s](?:/\w|: ?[A-Za-z]| \(|[ :(]+[A-Z]?\d)"), "a citation that a reader cannot look up: cite docs/..."),
    (re.compile(r"\b[Ss]eed[s]? ?0\d\d"), "a citation that a reader cannot look up: cite docs/..."),
)
# Input that is meant to be odd, and texts of others.
EXEMPT = ("tests/fuzz/corpus/", "LICENSE")


def check(tree):
    findings, names = [], [name for name in tree.files if not name.startswith(EXEMPT)]
    for name in names:
        for number, line in tree.lines(name):
            for pattern, why in FORBIDDEN:
                if match := pattern.search(line):
                    findings.append(Finding(name, number, f"'{match.group().strip()}': {why}"))
    return f"{len(names)} files", findings
