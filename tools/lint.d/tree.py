"""The tree that is looked at: its files, which of them changed, and what is found in them."""

import functools
import hashlib
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int  # 0: the file as a whole
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}" if self.line else f"{self.path}: {self.text}"


class Unable(Exception):
    """A check cannot be made. Says what is missing and what to do about it."""


class Tree:
    def __init__(self, root, build, base=None, everything=False, jobs=1):
        self.root = root.resolve()
        self.build = self.root / build
        self.everything = everything
        self.jobs = jobs
        self._base = base

    def git(self, *arguments):
        ran = subprocess.run(["git", "-C", self.root, *arguments], capture_output=True, text=True)
        if ran.returncode != 0:
            raise Unable(f"git {' '.join(arguments)}: {ran.stderr.strip()}")
        return ran.stdout

    @functools.cached_property
    def files(self):
        """All files that are, or with `git add .` would be, in the repository."""
        names = self.git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        return sorted(name for name in set(names) if name and (self.root / name).is_file())

    def ending(self, *suffixes):
        return [name for name in self.files if name.endswith(suffixes)]

    @functools.cached_property
    def changed(self):
        """The files that differ from the base; all of them where there is no base."""
        base = self._base_commit()
        if self.everything or base is None:
            return set(self.files)
        names = self.git("diff", "-z", "--name-only", base).split("\0")
        names += self.git("ls-files", "-z", "--others", "--exclude-standard").split("\0")
        return set(names) & set(self.files)

    def _base_commit(self):
        if self._base:
            return self.git("merge-base", "HEAD", self._base).strip()
        for name in ("origin/main", "main"):
            try:
                base = self.git("merge-base", "HEAD", name).strip()
                # On the main branch itself the last commit is what is new.
                return self.git("rev-parse", "HEAD~1").strip() if base == self.git("rev-parse", "HEAD").strip() else base
            except Unable:
                continue
        return None

    @functools.cache
    def text(self, name):
        """Content of a file; empty when it is no text."""
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return ""

    def lines(self, name):
        """(number, line) of a file."""
        return enumerate(self.text(name).splitlines(), start=1)


def tool(*names):
    """The first of these programs that is installed."""
    for name in names:
        if path := shutil.which(name):
            return path
    raise Unable(f"{names[0]} is not installed: tools/setup does it")


def in_parallel(jobs, work, items):
    """work(item) of each, in the order of the items."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(work, items))


class Clean:
    """Remembers in build/lint what was found to be clean, by a key that says all that it depends on."""

    def __init__(self, tree, check):
        self.folder = tree.root / "build" / "lint" / check

    def _mark(self, key):
        return self.folder / hashlib.sha256(key.encode()).hexdigest()

    def known(self, key):
        return self._mark(key).exists()

    def remember(self, key):
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mark(key).touch()
