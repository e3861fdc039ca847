#include "base/one_line.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace std::string_literals;

TEST_CASE("what others said becomes one line that a terminal only shows") {
  CHECK(one_line("") == "");
  CHECK(one_line("plain text, as it is: 'x' \xc3\xa9") == "plain text, as it is: 'x' \xc3\xa9");
  CHECK(one_line("libbpf: first\nlibbpf: second\n") == "libbpf: first; libbpf: second");
  CHECK(one_line("\n\r\n  a  \r\n\n\tb") == "a; b");
  CHECK(one_line("a\x1b[2Jb\x7f"
                 "c\0d"s) == "a [2Jb c d");
  CHECK(one_line("a\xc2\x9b"
                 "2J") == "a 2J");  // CSI as one character
  CHECK(one_line("a\xe2\x80\xa8"
                 "b") == "a b");  // LINE SEPARATOR
  CHECK(one_line("a\xff"
                 "b") ==
        "a\xef\xbf\xbd"
        "b");
  CHECK(one_line("\n") == "");
}
