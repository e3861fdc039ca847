#include "base/strings.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace std::chrono_literals;

TEST_CASE("split keeps or skips empty parts") {
  CHECK(split("a,,b", ',').size() == 3);
  CHECK(split("a,,b,", ',', true).size() == 2);
  CHECK(split("", ',', true).empty());
}

TEST_CASE("numbers are whole or nothing") {
  CHECK(parse_number<uint16_t>("65535") == 65535);
  for (const char* text : {"", "65536", "-1", " 1", "1 ", "0x1", "1.0"})
    CHECK_FALSE(parse_number<uint16_t>(text));
}

TEST_CASE("durations as Go writes them") {
  CHECK(*parse_duration("10s") == 10s);
  CHECK(*parse_duration("1h30m") == 90min);
  CHECK(*parse_duration("1.5s") == 1500ms);
  CHECK(*parse_duration("0") == 0s);
  CHECK(*parse_duration("0s") == 0s);
  for (const char* text : {"", "10", "s", "-1s", "10x", "1.2.3s", "99999999999h"})
    CHECK_FALSE(parse_duration(text));
}

TEST_CASE("trimming and case") {
  CHECK(trim("  a b\r\n") == "a b");
  CHECK(trim(" \t").empty());
  CHECK(equals_ignore_case("TCP-Echo", "tcp-echo"));
  CHECK_FALSE(equals_ignore_case("tcp", "tcps"));
}
