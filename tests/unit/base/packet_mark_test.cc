#include "base/packet_mark.h"

#include <catch2/catch.hpp>

using sockmesh::PacketMark;

TEST_CASE("a packet mark is bits of a value") {
  CHECK(PacketMark::parse("0x20000000").value() == PacketMark{0x20000000, 0x20000000});
  CHECK(PacketMark::parse("256/768").value() == PacketMark{0x100, 0x300});
  CHECK(PacketMark::parse("0x100/0x300")->to_string() == "0x100/0x300");
  const PacketMark mark{0x100, 0x300};
  CHECK(mark.is_in(0x100));
  CHECK(mark.is_in(0x20000105));
  CHECK_FALSE(mark.is_in(0x300));
  CHECK_FALSE(mark.is_in(0));
  CHECK(PacketMark::parse("0x00000100").value() == PacketMark{0x100, 0x100});
  // 010 is 8 to iptables, and 10 to others.
  for (const char* text : {"", "0", "0x", "red", "1/2", "1/", "/1", "4294967296", "-1", "0x1/0x0", "1 ",
                           "010", "1/01", "0x0", "0X1", "1/2/3", "0x-1", "0x100000000"})
    CHECK_FALSE(PacketMark::parse(text));
}
