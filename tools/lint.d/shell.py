"""shellcheck has nothing to say about any shell script."""

import json
import subprocess

from tree import Finding, Unable, tool

NAME = "shell"
ABOUT = "shellcheck has nothing to say about any shell script"


def check(tree):
    names = [name for name in tree.files if name.endswith(".sh") or _is_script(tree, name)]
    if not names:
        return "no scripts", []
    ran = subprocess.run([tool("shellcheck"), "--external-sources", "--format=json1", "--shell=bash", *names],
                         cwd=tree.root, capture_output=True, text=True)
    if ran.returncode > 1:
        raise Unable(f"shellcheck: {ran.stderr.strip()}")
    return f"{len(names)} scripts", [Finding(one["file"], one["line"], f"SC{one['code']}: {one['message']}")
                                     for one in json.loads(ran.stdout)["comments"]]


def _is_script(tree, name):
    first = tree.text(name).partition("\n")[0]
    return first.startswith("#!") and first.split("/")[-1].split()[-1] in ("sh", "bash")
