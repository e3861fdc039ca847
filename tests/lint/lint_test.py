#!/usr/bin/env python3
"""Each check of tools/lint finds what it is for, and nothing in a sample that is as it should be.

A case makes a small repository, with a file that has one thing wrong. Needs what tools/setup installs, no root.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

LINT = Path(__file__).resolve().parents[2] / "tools" / "lint"
# Samples are spelled so that the checks do not find them here.
MARK = "TO" + "DO"
STYLE = "BasedOnStyle: Google\nColumnLimit: 110\n"


class LintTest(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="sockmesh-lint-test-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments):
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        subprocess.run(["git", "-C", self.root, *identity, *arguments], check=True, capture_output=True)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def compiled(self, *names, root="userspace"):
        """A compile_commands.json for these sources, as CMake writes it, with one include root."""
        database = [{"directory": str(self.root), "file": str(self.root / name),
                     "command": f"g++ -std=c++20 -Wall -Werror -I{self.root}/{root} -o {name}.o -c {self.root / name}"}
                    for name in names]
        self.write("build/dev/compile_commands.json", json.dumps(database))
        self.write(".gitignore", "/build*/\n")

    def lint(self, *arguments):
        ran = subprocess.run([sys.executable, LINT, "--root", self.root, *arguments], capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr

    def finds(self, check, *wanted, arguments=()):
        """The check fails, and each wanted pattern is in a line that it prints."""
        status, output = self.lint("--only", check, *arguments)
        self.assertEqual(status, 1, output)
        for pattern in wanted:
            self.assertRegex(output, re.compile(pattern, re.MULTILINE))
        return output

    def passes(self, check, *arguments):
        status, output = self.lint("--only", check, *arguments)
        self.assertEqual(status, 0, output)
        self.assertRegex(output, rf"(?m)^{check} +ok")

    # --- words ---

    def test_words_finds_unfinished_marks(self):
        self.write("a.cc", f"int a;\n// {MARK}: the rest\n")
        self.finds("words", rf"^a\.cc:2: '{MARK}'")

    def test_words_finds_paths_of_a_machine(self):
        self.write("a.md", "See /ho" + "me/somebody/notes.txt.\n")
        self.write("b.sh", "cp x /wo" + "rk/x\n")
        self.finds("words", r"^a\.md:1: .*somebody's machine", r"^b\.sh:1: .*somebody's machine")

    def test_words_finds_conflicts_that_were_not_settled(self):
        self.write("a.cc", "<" * 7 + " HEAD\nint a;\n=======\nint b;\n" + ">" * 7 + " branch\n")
        self.finds("words", r"^a\.cc:1: .*not settled", r"^a\.cc:5: .*not settled")

    def test_words_finds_citations_of_notes_that_are_not_in_the_tree(self):
        for number, cited in enumerate(("(fact" + "s 5.3, I12)", "fact" + "s/istio.md 2.1", "(fact" + "s: istio.md 2.4)",
                                        "see" + "d 003", "fact" + "s I13")):
            self.write(f"{number}.h", f"// As told elsewhere {cited}.\n")
        self.finds("words", *(rf"^{number}\.h:1: .*cite docs" for number in range(5)))

    def test_words_leaves_ordinary_words_alone(self):
        self.write("a.cc", "// Of the facts that are known.\nint f(const Facts& facts) { return g(facts.age, \"XXXXXX\"); }\n"
                           "const int seed = 3;  // in /run, /usr/share and /tmp/x\n")
        self.passes("words")

    # --- links ---

    def test_links_finds_files_headings_and_lines_that_are_not_there(self):
        self.write("README.md", "# Top\n[a](docs/a.md) [b](docs/b.md#no-such)\n\n[c](src/c.cc#L9) [d](#top) [e](/etc/x)\n")
        self.write("docs/b.md", "# B\n")
        self.write("src/c.cc", "int c;\n")
        self.finds("links", r"^README\.md:2: \(docs/a\.md\): there is no docs/a\.md",
                   r"^README\.md:2: .*no heading for #no-such", r"^README\.md:4: .*has no #L9", r"^README\.md:4: .*relative")

    def test_links_finds_citations_in_comments_that_lead_nowhere(self):
        self.write("docs/a.md", "# A\n## The gate\n")
        self.write("a.h", "// docs/a.md#the-gate says why; docs/a.md#the-gait does not; docs/b.md neither.\n")
        output = self.finds("links", r"^a\.h:1: docs/a\.md#the-gait: ", r"^a\.h:1: docs/b\.md: ")
        self.assertNotIn("the-gate:", output)

    def test_links_finds_titles_that_no_test_case_has(self):
        self.write("tests/unit/a_test.cc", 'TEST_CASE("one byte") {}\nTEST_CASE(\n    "a long "\n    "title, `quoted`") {}\n')
        self.write("a.md", "[one byte](tests/unit/a_test.cc), [a long title,\n`quoted`](tests/unit/a_test.cc), "
                           "[`tests/unit/a_test.cc`](tests/unit/a_test.cc)\n")
        self.passes("links")
        self.write("b.md", "[two bytes](tests/unit/a_test.cc)\n")
        self.finds("links", r"^b\.md:1: .*no test case 'two bytes'")

    def test_links_reads_markdown_as_it_is_shown(self):
        self.write("a.md", "# The `gate`, I2\n## Twice\n## Twice\n```\n[x](no.md)\n```\n~~~\n[v](no.md)\n~~~\n`[y](no.md)` [`z`](#the-gate-i2) "
                           "[2](#twice-1) [w](https://example.com/no.md)\n")
        self.passes("links")

    # --- tables ---

    def test_tables_finds_codes_that_are_not_listed_or_not_used(self):
        self.write("userspace/config/README.md", "| SM0001 | listed and used |\n| SM0002 | not used |\n")
        self.write("userspace/config/analysis/analyze.cc", 'warning("SM0001", meta); warning("SM0003", meta);\n')
        self.finds("tables", r"^userspace/config/README\.md: finding SM0003 is not listed",
                   r"^userspace/config/README\.md:2: finding SM0002 is listed, and the code has none")

    def test_tables_finds_commands_and_exit_statuses_that_differ(self):
        self.write("tools/ctl/commands.cc", '      {"flows", "open connections", declare_flows},\n      {"drain", "", declare_drain},\n')
        self.write("tools/ctl/command.h", "inline constexpr int kOk = 0;\ninline constexpr int kUsage = 64;\n")
        self.write("tools/ctl/README.md", "| `flows` | x |\n\n| 0 | done |\n| 65 | unreadable |\n")
        self.finds("tables", r"^tools/ctl/README\.md: command drain is not listed",
                   r"^tools/ctl/README\.md: exit status 64 is not listed", r"^tools/ctl/README\.md:4: exit status 65 is listed")

    def test_tables_finds_ports_and_fuzz_targets_that_differ(self):
        self.write("userspace/model/ports.h", "  uint16_t outbound = 15001, inbound = 15006;\n")
        self.write("docs/istio.md", "| 15001, 15007 | capture |\n")
        self.write("SECURITY.md", "fuzz target `hello`, fuzz target `gone`\n")
        self.write("tests/fuzz/CMakeLists.txt", "sockmesh_fuzz(hello SOURCES hello.cc)\n")
        self.finds("tables", r"^docs/istio\.md: port 15006 is not listed", r"^SECURITY\.md:1: there is no fuzz target gone")

    def test_tables_finds_that_what_a_table_is_compared_with_has_moved(self):
        self.write("docs/istio.md", "| 15001 | capture |\n")
        self.write("tools/ctl/README.md", "| `flows` | x |\n\n| 0 | done |\n")
        self.write("userspace/config/README.md", "| SM0001 | x |\n")
        self.finds("tables", *(rf"^{page}: there is no {what} in the code .*moved" for page, what in (
            (r"docs/istio\.md", "port"), (r"tools/ctl/README\.md", "command"), (r"tools/ctl/README\.md", "exit status"),
            (r"userspace/config/README\.md", "finding"))))

    def test_tables_finds_bounds_that_stand_nowhere(self):
        self.write("userspace/net/a.h", "")
        self.write("userspace/README.md", "## Ports\n| x | y | `net/none.h` |\n## Bounds\n| what | bound | where |\n|---|---|---|\n"
                                          "| x | 1 | `net/a.h`, `b.h` |\n| y | `2` | `net/a.h` |\n")
        output = self.finds("tables", r"^userspace/README\.md:6: there is no userspace/net/b\.h")
        self.assertNotIn("none.h", output)

    def test_tables_finds_libraries_that_the_picture_of_the_layers_lacks_or_invents(self):
        self.write("userspace/README.md", "# The agent\n\n```\nserver     the root\n  config   rooms\n    source   a folder\n"
                                          "  gone     no more\n```\n\n```\nbase   another picture\n```\n")
        for library in ("server", "config/source", "net"):
            self.write(f"userspace/{library}/CMakeLists.txt", f"sockmesh_library({library}\n  SOURCES a.cc)\n")
        output = self.finds("tables", r"^userspace/README\.md: library net is not listed",
                            r"^userspace/README\.md:7: library gone is listed, and the code has none")
        self.assertNotIn("base", output)

    # --- format ---

    def test_format_finds_what_clang_format_would_change_and_fix_mends_it(self):
        self.write(".clang-format", STYLE)
        bad = self.write("a.cc", "int  a ;\n")
        self.finds("format", r"^a\.cc:1: ")
        self.passes("format", "--fix")
        self.assertEqual(bad.read_text(), "int a;\n")

    def test_format_leaves_drawings_in_comments_alone(self):
        shutil.copy(LINT.parent.parent / ".clang-format", self.root)
        drawing = "// A drawing:\n//\n" + "".join(f"//   {word:<8} {'x' * 120}\n" for word in ("look", "act")) + "int a;\n"
        path = self.write("a.h", drawing)
        self.passes("format", "--fix")
        self.assertEqual(path.read_text(), drawing)

    # --- shell ---

    def test_shell_finds_what_shellcheck_finds(self):
        self.write("tool", "#!/usr/bin/env bash\nrm $1\n")
        self.write("lib.sh", "cat $2\n")
        self.write("other", "#!/usr/bin/env python3\nprint('$1')\n")
        self.finds("shell", r"^tool:2: SC2086", r"^lib\.sh:1: SC2086")

    # --- includes ---

    def library(self, name, links="", private="", **files):
        lists = (f" LINKS {links}" if links else "") + (f" PRIVATE_LINKS {private}" if private else "")
        self.write(f"userspace/{name}/CMakeLists.txt",
                   f"sockmesh_library({name}\n  SOURCES {name.rpartition('/')[2]}.cc{lists})\n")
        for file, text in files.items():
            self.write(f"userspace/{name}/{file.replace('_h', '.h').replace('_cc', '.cc')}", text)

    def test_includes_finds_a_library_that_is_not_linked(self):
        self.library("base", base_h="")
        self.library("model", links="sockmesh::base", model_h='#include "base/base.h"\n')
        self.library("relay", links="sockmesh::model", relay_cc='#include "model/model.h"\n#include "base/base.h"\n')
        output = self.finds("includes", r'^userspace/relay/relay\.cc:2: includes "base/base\.h", but .* does not link')
        self.assertNotIn("relay.cc:1", output)

    def test_includes_finds_what_users_of_a_header_would_lack(self):
        self.library("base", base_h="")
        self.library("model", private="sockmesh::base", model_h='#include "base/base.h"\n', model_cc='#include "base/base.h"\n')
        output = self.finds("includes", r"^userspace/model/model\.h:1: a public header")
        self.assertNotIn("model.cc", output)

    def test_includes_finds_a_package_that_nobody_links(self):
        self.library("base", links="fmt::fmt", base_h="#include <fmt/format.h>\n")
        self.library("model", links="sockmesh::base", model_cc="#include <fmt/format.h>\n#include <nlohmann/json.hpp>\n")
        output = self.finds("includes", r"^userspace/model/model\.cc:2: includes <nlohmann/json\.hpp>")
        self.assertNotIn("fmt", output)

    def test_includes_finds_a_circle(self):
        self.library("a", links="sockmesh::b", a_h="")
        self.library("b", links="sockmesh::c", b_h="")
        self.library("c", private="sockmesh::a", c_h="")
        self.finds("includes", r"^userspace/a/CMakeLists\.txt:1: a circle of links: a -> b -> c -> a")

    def test_includes_finds_headers_of_one_library_that_include_each_other(self):
        self.library("base", a_h='#include "base/b.h"\n', b_h='#include "base/c.h"\n', c_h='#include "base/a.h"\n')
        self.finds("includes", r"^userspace/base/a\.h: a circle of includes: userspace/base/a\.h -> userspace/base/b\.h -> "
                               r"userspace/base/c\.h -> userspace/base/a\.h$")

    def test_includes_finds_a_link_of_which_nothing_is_included(self):
        self.library("base", base_h="")
        self.library("model", links="sockmesh::base", model_h="", model_cc='#include "base/base.h"\n')
        self.passes("includes")
        self.library("model", links="sockmesh::base", model_cc="#include <vector>\n")
        self.finds("includes", r"^userspace/model/CMakeLists\.txt:1: model links sockmesh::base and includes nothing of it$")

    def test_includes_finds_a_link_upwards(self):
        self.write("userspace/CMakeLists.txt", "foreach(library base config\n    server)\nendforeach()\n")
        self.library("base", base_h="")
        self.library("config/source", links="sockmesh::base", source_h='#include "base/base.h"\n')
        self.library("server", links="sockmesh::config_source", server_h='#include "config/source/source.h"\n')
        self.passes("includes")
        self.library("base", private="sockmesh::config_source")
        self.library("config/source", links="sockmesh::model")
        self.finds("includes", r"^userspace/base/CMakeLists\.txt:1: links sockmesh::config_source, which "
                               r"userspace/CMakeLists\.txt has above it$")

    def test_includes_knows_libraries_inside_of_a_folder(self):
        self.library("config/values", values_h="")
        self.library("config/source", links="sockmesh::config_values", source_h='#include "config/values/values.h"\n')
        self.library("relay", links="sockmesh::config_source", relay_h='#include "config/source/source.h"\n')
        self.passes("includes")
        self.library("config/values", links="sockmesh::config_source", values_h='#include "config/source/source.h"\n')
        self.library("relay", links="sockmesh::config_source", relay_h='#include "config/values/values.h"\n')
        self.finds("includes", r"^userspace/config/source/CMakeLists\.txt:1: a circle of links: "
                               r"config_source -> config_values -> config_source",
                   r"^userspace/relay/relay\.h:1: .* does not link sockmesh::config_values")

    def test_includes_knows_header_only_libraries(self):
        self.write("bpf/CMakeLists.txt", "add_library(sockmesh_bpf_intf INTERFACE)\n"
                                         "sockmesh_include_root(sockmesh_bpf_intf intf ${CMAKE_CURRENT_SOURCE_DIR}/intf)\n")
        self.write("bpf/intf/splice.h", "")
        self.library("bpf", links="sockmesh::bpf_intf", bpf_h='#include "intf/splice.h"\n')
        self.passes("includes")
        self.library("relay", relay_h='#include "intf/splice.h"\n')
        self.finds("includes", r"^userspace/relay/relay\.h:1: .*sockmesh::bpf_intf")

    # --- headers ---

    def test_headers_finds_one_that_needs_another_first(self):
        self.library("base", base_h="#pragma once\n#include <string>\ninline std::string a;\n", base_cc="",
                     bad_h="#pragma once\ninline std::string b;\n")
        self.compiled("userspace/base/base.cc")
        output = self.finds("headers", r"^userspace/base/bad\.h: does not compile alone: ")
        self.assertNotIn("base.h:", output)

    def test_headers_looks_again_when_an_included_header_changed(self):
        self.library("base", a_h='#pragma once\n#include "base/b.h"\ninline std::string a;\n',
                     b_h="#pragma once\n#include <string>\n", base_cc="")
        self.compiled("userspace/base/base.cc")
        self.passes("headers")
        self.write("userspace/base/b.h", "#pragma once\n")
        self.finds("headers", r"^userspace/base/a\.h: ")

    def test_headers_looks_at_what_changed_alone_unless_all_is_asked_for(self):
        self.library("base", bad_h="#pragma once\ninline std::string b;\n", base_cc="")
        self.compiled("userspace/base/base.cc")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "one")
        self.write("new.md", "# New\n")
        self.passes("headers", "--base", "HEAD")
        self.finds("headers", r"bad\.h", arguments=("--all",))

    def test_headers_says_that_the_build_is_missing(self):
        self.library("base", a_h="#pragma once\n")
        status, output = self.lint("--only", "headers")
        self.assertEqual(status, 2, output)
        self.assertRegex(output, r"cannot be checked: there is no .*compile_commands\.json: cmake --preset dev")

    # --- tidy ---

    def test_tidy_finds_what_clang_tidy_finds_once_it_is_there(self):
        self.write(".clang-tidy", "Checks: '-*,modernize-use-nullptr'\nWarningsAsErrors: '*'\n")
        self.library("base", base_cc="int* a = nullptr;\n")
        self.compiled("userspace/base/base.cc")
        self.passes("tidy")
        self.write("userspace/base/base.cc", "int* a = 0;\n")
        self.finds("tidy", r"^userspace/base/base\.cc:1: .*\[modernize-use-nullptr\]")

    def test_tidy_looks_into_headers_that_are_found_through_the_build(self):
        shutil.copy(LINT.parent.parent / ".clang-tidy", self.root)
        header = "#pragma once\nstruct A {\n  virtual void f();\n};\nstruct B : A {\n  void f();\n};\n"
        self.library("base", base_h=header, base_cc='#include "base/base.h"\n')
        self.compiled("userspace/base/base.cc", root="build/dev/include/base")
        (self.root / "build/dev/include/base").mkdir(parents=True)
        (self.root / "build/dev/include/base/base").symlink_to(self.root / "userspace/base")
        self.finds("tidy", r"^userspace/base/base\.h:6: .*\[modernize-use-override\]")

    def test_tidy_leaves_alone_what_the_build_generates(self):
        shutil.copy(LINT.parent.parent / ".clang-tidy", self.root)
        self.library("base", base_cc='#include "generated.h"\n')
        self.compiled("userspace/base/base.cc", root="build/dev/include")
        self.write("build/dev/include/generated.h",
                   "#pragma once\nstruct A {\n  virtual void f();\n};\nstruct B : A {\n  void f();\n};\n")
        self.passes("tidy")

    # --- the command ---

    def test_the_command_names_what_it_does_not_know(self):
        status, output = self.lint("--only", "spelling")
        self.assertEqual(status, 2)
        self.assertRegex(output, r"'spelling': expected one of words, links")

    def test_help_tells_every_check(self):
        _, output = self.lint("--help")
        for name in ("words", "links", "tables", "format", "shell", "includes", "headers", "tidy"):
            self.assertRegex(output, rf"(?m)^  {name} ")


if __name__ == "__main__":
    os.environ.pop("GIT_DIR", None)
    os.environ.pop("GIT_INDEX_FILE", None)
    unittest.main()
