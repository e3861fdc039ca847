"""Links in Markdown, and citations of it elsewhere, lead somewhere: to a file, a heading, a line, a test case."""

import functools
import posixpath
import re

from tree import Finding

NAME = "links"
ABOUT = "links in Markdown and citations of docs/ in comments resolve: files, headings, lines, titles of test cases"

FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"!?\[((?:[^\[\]\\]|\\.|\[[^\]]*\])*)\]\(([^()\s]+)(?:\s+\"[^\"]*\")?\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]^]+\]:\s+(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
# As a comment cites: from the root of the tree, with its folder, so that another project's docs are not meant.
CITATION = re.compile(r"(?<![\w/.-])((?:docs|userspace|iptables|bpf|tests|tools|deploy)/[\w./-]*\.md)(#[\w-]+)?")
TEST_CASE = re.compile(r"TEST_CASE\(\s*((?:\"(?:[^\"\\]|\\.)*\"\s*)+)")

# What stands in them is meant to be wrong.
SAMPLES = ("tests/fuzz/corpus/", "tests/lint/")


def check(tree):
    findings, pages = [], tree.ending(".md")
    resolve = functools.partial(_problem, tree, set(tree.files), _folders(tree.files))
    links = 0
    for page in pages:
        text = _without_code(tree.text(page))
        found = [(match.start(), match.group(1), match.group(2)) for match in LINK.finditer(text)]
        found += [(match.start(), None, match.group(1)) for match in REFERENCE.finditer(text)]
        links += len(found)
        for at, label, target in found:
            if problem := resolve(page, target, label):
                findings.append(Finding(page, text.count("\n", 0, at) + 1, f"({target}): {problem}"))
    for name in tree.files:
        if name.endswith(".md") or name.startswith(SAMPLES):
            continue
        for number, line in tree.lines(name):
            for match in CITATION.finditer(line):
                links += 1
                if problem := resolve("README.md", match.group(1) + (match.group(2) or ""), None):
                    findings.append(Finding(name, number, f"{match.group()}: {problem}"))
    return f"{links} links and citations", findings


def _problem(tree, files, folders, page, target, label):
    """What is wrong with a link from `page`, None when it leads somewhere. `label` is its text, if it has one."""
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None  # of the world outside nothing is asked here
    path, _, anchor = target.partition("#")
    if path.startswith("/"):
        return "expected a path relative to the page"
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
    if path in folders:
        return "a folder has no headings" if anchor else None
    if path not in files:
        return f"there is no {path}"
    if path.endswith(".md"):
        return None if not anchor or anchor in _anchors(tree, path) else f"{path} has no heading for #{anchor}"
    if anchor:
        line = re.fullmatch(r"L(\d+)", anchor)
        if not line or int(line.group(1)) > len(tree.text(path).splitlines()):
            return f"{path} has no #{anchor}"
    if label is not None and path.startswith("tests/") and path.endswith((".cc", ".py")):
        title = _plain(label)
        if path.endswith(".cc") and "/" not in title and "." not in title and title not in _titles(tree, path):
            return f"{path} has no test case '{title}'"
    return None


@functools.cache
def _anchors(tree, page):
    """As GitHub makes them from headings: lower case, no punctuation, hyphens for blanks, numbered when repeated."""
    text, anchors, seen = FENCE.sub("", tree.text(page)), set(), {}
    for match in HEADING.finditer(text):
        title = LINK.sub(r"\1", match.group(1))
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        anchors.add(f"{slug}-{count}" if count else slug)
    return anchors | set(ANCHOR.findall(text))


@functools.cache
def _titles(tree, path):
    """Titles of Catch2 test cases as _plain() has them; literals that were broken over lines are put together."""
    return {_plain("".join(re.findall(r"\"((?:[^\"\\]|\\.)*)\"", match.group(1))))
            for match in TEST_CASE.finditer(tree.text(path))}


def _plain(label):
    label = re.sub(r"\\([\\`*_{}\[\]()#+.!|<>-])", r"\1", " ".join(label.split()))
    return label.replace("`", "").replace("…", "...")


def _without_code(text):
    """Code in place of which blanks stand, so that line numbers stay. Code inside of a link's text is kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    text = FENCE.sub(blank, text)
    kept = [match.span() for match in LINK.finditer(text)]
    return CODE.sub(lambda code: code.group() if any(a <= code.start() < b for a, b in kept) else blank(code), text)


def _folders(files):
    folders = {"."}
    for name in files:
        while name := posixpath.dirname(name):
            folders.add(name)
    return folders
