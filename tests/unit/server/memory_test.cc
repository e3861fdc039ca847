#include "server/memory.h"

#include <catch2/catch.hpp>
#include <sstream>

using namespace sockmesh::server;

TEST_CASE("only mappings that are nothing but file contents are given back") {
  std::istringstream smaps(
      "1000-2000 r-xp 00000000 08:01 11   /usr/lib/libc.so.6\nSize: 4 kB\nAnonymous:             0 kB\n"
      "2000-3000 r--p 00001000 08:01 11   /usr/lib/libc.so.6\nAnonymous:             4 kB\n"  // relocated
      "3000-4000 rw-p 00002000 08:01 11   /usr/lib/libc.so.6\nAnonymous:             0 kB\n"
      "4000-5000 r--s 00000000 08:01 12   /run/shared\nAnonymous:             0 kB\n"
      "5000-6000 r--p 00000000 00:00 0 \nAnonymous:             0 kB\n"
      "6000-7000 r-xp 00000000 00:00 0    [vdso]\nAnonymous:             0 kB\n"
      "7000-8000 r--p 00000000 08:01 13   /usr/bin/sockmesh-agent\nAnonymous:             0 kB\n");
  const auto ranges = pure_file_ranges(smaps);
  REQUIRE(ranges.size() == 2);
  CHECK(ranges[0].begin == 0x1000);
  CHECK(ranges[0].end == 0x2000);
  CHECK(ranges[1].begin == 0x7000);
}

TEST_CASE("the program goes on after giving memory back") {
  std::vector<int> numbers(100'000, 7);
  give_back_memory();
  CHECK(numbers.back() == 7);
}
