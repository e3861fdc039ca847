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

}  // namespace sockmesh::iptables
