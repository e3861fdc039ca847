#!/usr/bin/env python3
"""tools/bench/run measures every row through every path, and leaves nothing behind. How fast is not asked here.

    bench_test.py BUILD
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PATHS = ("direct", "auto", "autox2")


class BenchTest(unittest.TestCase):
    build = ROOT / "build/dev"

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="sockmesh-bench-test-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.namespaces = sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []
        cls.ran = subprocess.run(
            [ROOT / "tools/bench/run", "--build", cls.build, "--rounds", "1", "--seconds", "0.1", "--idle", "20",
             "--paths", " ".join(PATHS), "--json", f"{cls.folder.name}/all.json", "--svg", f"{cls.folder.name}/all.svg"],
            capture_output=True, text=True)

    def test_every_row_is_measured_through_every_path(self):
        self.assertEqual(self.ran.returncode, 0, self.ran.stderr)
        all_of_it = json.loads(Path(self.folder.name, "all.json").read_text(encoding="utf-8"))
        self.assertGreaterEqual(len(all_of_it["results"]), 9)
        for row, by_path in all_of_it["results"].items():
            self.assertEqual(set(by_path), set(PATHS), row)
            for path, runs in by_path.items():
                self.assertEqual(len(runs), 1, (row, path))
                self.assertGreater(runs[0]["operations"], 0, (row, path))
                # Every byte is some lane's, and direct ones are no agent's.
                self.assertEqual(runs[0]["user_share"] is None, path == "direct", (row, path))
            self.assertIn(f"| {row} | ", self.ran.stdout)
        self.assertEqual(set(all_of_it["idle_flow_bytes"]), set(PATHS))
        self.assertIn("</svg>", Path(self.folder.name, "all.svg").read_text(encoding="utf-8"))

    def test_nothing_stays_behind(self):
        after = sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []
        ours = [name for name in after if name not in self.namespaces and name.endswith(("-client", "-server"))]
        self.assertEqual(ours, [])
        left = subprocess.run(["pgrep", "-f", "sockmesh-bench-[a-z0-9_]*/"], capture_output=True, text=True).stdout
        self.assertEqual(left.split(), [])

    def test_a_path_that_nobody_knows_is_refused(self):
        ran = subprocess.run([ROOT / "tools/bench/run", "--build", self.build, "--paths", "direct warp"],
                             capture_output=True, text=True)
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("path 'warp': expected direct, haproxy", ran.stderr)


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(77)
    if len(sys.argv) > 1:
        BenchTest.build = Path(sys.argv.pop(1)).resolve()
    unittest.main()
