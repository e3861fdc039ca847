// The trace against rule values; that the kernel agrees is tests/netns/iptables/capture_test.cc.
#include "iptables/trace.h"

#include <catch2/catch.hpp>

#include "base/strings.h"
#include "iptables/capture.h"

namespace sockmesh::iptables {

namespace {

// "redirected 15001", for a connection asked about as on the command line.
std::string fate(const std::string& question, const std::string& flags) {
  std::vector<std::string> words = {"trace"};
  const std::string text = question + " --host-ip 10.0.0.1,fd00::1 --dual-stack " + flags;
  for (const std::string_view word : split(text, ' ', /*skip_empty=*/true)) words.emplace_back(word);
  const auto line = parse_command_line(words, [](const std::string&) { return std::nullopt; });
  REQUIRE(line);
  HostFacts facts;
  facts.addresses = line->options.host_ips;
  facts.group_ids = {{"java", 202}};
  const auto capture = make_capture(line->options, facts);
  REQUIRE(capture);
  const Trace result = trace(capture->plan, make_packet(line->trace, facts.addresses), facts.group_ids);
  switch (result.fate) {
    case Trace::Fate::kUntouched:
      return "untouched";
    case Trace::Fate::kRedirected:
      return fmt::format("redirected {}", result.port);
    case Trace::Fate::kTransparent:
      return fmt::format("transparent {}", result.port);
    case Trace::Fate::kDropped:
      return "dropped";
  }
  return {};
}

}  // namespace

TEST_CASE("traces") {
  CHECK(fate("10.0.0.1 10.96.0.1 80 --uid 1", "-i *") == "redirected 15001");
  CHECK(fate("fd00::1 fd96::1 80 --uid 1", "-i *") == "redirected 15001");
  CHECK(fate("10.0.0.1 10.96.0.1 80 --uid 1337", "-i *") == "untouched");
  CHECK(fate("10.0.0.1 10.96.0.1 80 --gid 1337", "-i *") == "untouched");
  CHECK(fate("10.0.0.1 127.0.0.1 80 --uid 1", "-i *") == "untouched");
  CHECK(fate("127.0.0.1 127.0.0.6 80 --uid 1337", "-i *") == "redirected 15006");
  CHECK(fate("10.0.0.1 10.96.0.1 80 --interface eth7", "-i * -c eth+") == "untouched");
  CHECK(fate("10.0.0.1 10.96.0.1 80 --interface net7", "-i * -c eth+") == "redirected 15001");
  CHECK(fate("10.0.0.1 10.96.0.1 53 --udp --uid 1", "--redirect-dns --capture-all-dns") ==
        "redirected 15053");
  CHECK(fate("10.0.0.1 10.96.0.1 53 --udp --uid 1337", "--redirect-dns --capture-all-dns") == "untouched");
  CHECK(fate("10.0.0.1 10.96.0.1 54 --udp --uid 1", "-i *") == "untouched");
  CHECK(fate("10.0.0.2 10.0.0.1 80", "-b *") == "redirected 15006");
  CHECK(fate("10.0.0.2 10.0.0.1 15008", "-b *") == "untouched");
  CHECK(fate("10.0.0.2 10.0.0.1 80", "-b 80 -m TPROXY") == "transparent 15006");
  CHECK(fate("10.0.0.2 10.0.0.1 81", "-b 80 -m TPROXY") == "untouched");
  CHECK(fate("10.0.0.1 10.0.0.1 80 --uid 1", "-b * -m TPROXY") == "untouched");
}

TEST_CASE("traces of marked sockets") {
  const std::string flags = "-b * -i * --direct-mark 0x200/0x300 ";
  for (const std::string mode : {"-m REDIRECT", "-m TPROXY -t 7"}) {
    INFO(mode);
    for (const std::string way : {"10.0.0.1 10.96.0.1 80 --uid 1", "fd00::1 fd96::1 80 --uid 1"}) {
      CHECK(fate(way + " --mark 0x200", flags + mode) == "untouched");
      CHECK(fate(way + " --mark 517", flags + mode) == "untouched");
      CHECK(fate(way + " --mark 0x300", flags + mode) == "redirected 15001");
      CHECK(fate(way + " --mark 0", flags + mode) == "redirected 15001");
      CHECK(fate(way, flags + mode) == "redirected 15001");
    }
    // Its own pod, and DNS.
    CHECK(fate("10.0.0.1 10.0.0.1 80 --uid 1 --mark 0x200", flags + mode) == "untouched");
    CHECK(fate("10.0.0.1 10.96.0.1 53 --mark 0x200", flags + mode + " --redirect-dns --capture-all-dns") ==
          "untouched");
  }
  // A mark is of a socket here, as an owner is.
  CHECK(fate("10.1.0.9 10.96.0.1 80 --mark 5", flags) == "redirected 15001");
}

TEST_CASE("what trace is asked with is one number") {
  const auto refusal = [](const std::string& mark) {
    const auto line = parse_command_line({"trace", "10.0.0.1", "10.96.0.1", "80", "--mark", mark},
                                         [](const std::string&) { return std::nullopt; });
    return line ? "" : line.error().message;
  };
  CHECK(refusal("0").empty());
  CHECK(refusal("0x20000000").empty());
  for (const std::string mark : {"", "red", "0x100/0x300", "010", "4294967296"})
    CHECK(refusal(mark) ==
          "--mark '" + mark + "': expected a packet mark from 0 to 4294967295, decimal or with 0x");
}

}  // namespace sockmesh::iptables
