#include "ctl/table.h"

#include <catch2/catch.hpp>

namespace sockmesh::ctl {

TEST_CASE("every column but the last is as wide as its widest cell and five blanks") {
  Table table({"NAME", "TYPE", "LAST"});
  table.row({"a", "STRICT_DNS", "x"});
  table.row({"longer-name", "EDS", ""});
  CHECK(table.text() ==
        "NAME            TYPE           LAST\n"
        "a               STRICT_DNS     x\n"
        "longer-name     EDS            \n");
}

TEST_CASE("characters are counted, not bytes") {
  Table table;
  table.row({"é", "x"});
  table.row({"ab", "x"});
  CHECK(table.text() == "é      x\nab     x\n");
}

TEST_CASE("a header alone, and nothing at all") {
  CHECK(Table({"A", "B"}).text() == "A     B\n");
  CHECK(Table().text().empty());
}

}  // namespace sockmesh::ctl
