// Comparing, removing and rebuilding, on texts of iptables-save.
#include "iptables/drift.h"

#include <catch2/catch.hpp>

#include "base/strings.h"
#include "iptables/capture.h"
#include "iptables/guard.h"

namespace sockmesh::iptables {

namespace {

// -q 80 -c eth1 without inbound capture: a small rule set with an exclusion in a built-in chain.
Plan small_plan() {
  Options options;
  options.outbound_ports = {80};
  options.exclude_interfaces = {"eth1"};
  options.proxy_uids = {7};
  HostFacts facts;
  facts.addresses = {IpAddress::v4(0x0a000001)};
  return make_capture(options, facts)->plan;
}

const char* const kAsWanted =
    "*nat\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n:ISTIO_INBOUND -\n:ISTIO_IN_REDIRECT -\n:ISTIO_OUTPUT -\n"
    ":ISTIO_REDIRECT -\n"
    "-A PREROUTING -i eth1 -j RETURN\n"
    "-A OUTPUT -o eth1 -j RETURN\n"
    "-A OUTPUT -j ISTIO_OUTPUT\n"
    "-A ISTIO_INBOUND -p tcp -m tcp --dport 15008 -j RETURN\n"
    "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006\n"
    "-A ISTIO_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN\n"
    "-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --uid-owner 7 -j "
    "ISTIO_IN_REDIRECT\n"
    "-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 7 -j RETURN\n"
    "-A ISTIO_OUTPUT -m owner --uid-owner 7 -j RETURN\n"
    "-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --gid-owner 7 -j "
    "ISTIO_IN_REDIRECT\n"
    "-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 7 -j RETURN\n"
    "-A ISTIO_OUTPUT -m owner --gid-owner 7 -j RETURN\n"
    "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN\n"
    "-A ISTIO_OUTPUT -p tcp -m tcp --dport 80 -j ISTIO_REDIRECT\n"
    "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001\n"
    "COMMIT\n";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

struct Compared {
  std::vector<std::string> findings;
  std::string removal, rebuild;
};

Compared look_at(const std::string& saved, const Memory& memory = {}) {
  const Plan plan = small_plan();
  const SavedState state = parse_save(saved);
  const GroupIds groups;
  const Running running{Family::kV4, state, memory, groups};
  Compared compared;
  const auto findings = compare(plan, running);
  for (const Finding& finding : findings) compared.findings.push_back(to_string(finding));
  compared.removal = removal_document(plan, running);
  compared.rebuild = rebuild_document(plan, running, findings);
  return compared;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("as wanted") {
  const auto compared = look_at(kAsWanted);
  CHECK(compared.findings.empty());
  CHECK(compared.rebuild.empty());
  CHECK(compared.removal ==
        "*nat\n-F ISTIO_INBOUND\n-F ISTIO_IN_REDIRECT\n-F ISTIO_OUTPUT\n-F ISTIO_REDIRECT\n"
        "-D PREROUTING 1\n-D OUTPUT 2\n-D OUTPUT 1\n"
        "-X ISTIO_INBOUND\n-X ISTIO_IN_REDIRECT\n-X ISTIO_OUTPUT\n-X ISTIO_REDIRECT\nCOMMIT\n");
}

TEST_CASE("nothing there") {
  const auto compared = look_at("");
  CHECK(compared.findings.size() == 7);  // three rules of built-in chains, four chains
  CHECK(compared.removal.empty());
  CHECK_FALSE(has_own_chains(parse_save("*nat\n:DOCKER -\nCOMMIT\n")));
  CHECK(has_own_chains(parse_save(kAsWanted)));
}

TEST_CASE("order is looked at") {
  const std::string a = "-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 7 -j RETURN\n";
  const std::string b = "-A ISTIO_OUTPUT -m owner --uid-owner 7 -j RETURN\n";
  CHECK(look_at(replaced(kAsWanted, a + b, b + a)).findings ==
        Texts{"IPv4 nat ISTIO_OUTPUT: rule is out of order: -m owner --uid-owner 7 -j RETURN"});
  const std::string c = "-A OUTPUT -o eth1 -j RETURN\n", d = "-A OUTPUT -j ISTIO_OUTPUT\n";
  CHECK(look_at(replaced(kAsWanted, c + d, d + c)).findings ==
        Texts{"IPv4 nat OUTPUT: rule is out of order: -o eth1 -j RETURN"});
}

TEST_CASE("a rule that reads like ours and was there first is somebody else's") {
  const auto compared = look_at(replaced(
      kAsWanted, "-A PREROUTING", "-A PREROUTING -i eth1 -j RETURN\n-A PREROUTING -j DOCKER\n-A PREROUTING"));
  // Without notes it is a remark, not drift; and it stays when ours goes.
  CHECK(compared.findings.size() == 2);
  CHECK(compared.findings[0] ==
        "IPv4 nat PREROUTING: somebody else's rule is ahead of ours: -i eth1 -j RETURN");
  CHECK(compared.rebuild.empty());
  CHECK(compared.removal.find("-D PREROUTING 3\n") != std::string::npos);
  CHECK(compared.removal.find("-D PREROUTING 1\n") == std::string::npos);
}

TEST_CASE("a newcomer ahead of ours is drift, and ours go ahead of it again") {
  Memory memory;
  memory.available = true;
  memory.notes = {"begin"};
  const auto compared =
      look_at(replaced(kAsWanted, "-A OUTPUT -o", "-A OUTPUT -p tcp -j ACCEPT\n-A OUTPUT -o"), memory);
  CHECK(compared.findings ==
        Texts{"IPv4 nat OUTPUT: somebody else's rule was put ahead of ours: -p tcp -j ACCEPT"});
  CHECK(compared.rebuild.find("-D OUTPUT 3\n-D OUTPUT 2\n") != std::string::npos);
  CHECK(compared.rebuild.find("-I OUTPUT 1 -o eth1 -j RETURN\n") != std::string::npos);
  CHECK(compared.rebuild.find("-I OUTPUT 2 -j ISTIO_OUTPUT\n") != std::string::npos);
}

TEST_CASE("strays: chains and jumps of another configuration, jumps from somebody else's chain") {
  const auto compared =
      look_at(replaced(std::string(kAsWanted), "COMMIT",
                       "-A DOCKER -j ISTIO_REDIRECT\n-A OUTPUT -p udp -j ISTIO_OUTPUT_DNS\nCOMMIT\n"
                       "*mangle\n:ISTIO_DIVERT -\nCOMMIT"));
  CHECK(compared.findings == Texts{"IPv4 mangle ISTIO_DIVERT: chain is not wanted",
                                   "IPv4 nat OUTPUT: rule is not wanted: -p udp -j ISTIO_OUTPUT_DNS"});
  CHECK(compared.removal.find("-D DOCKER -j ISTIO_REDIRECT\n") != std::string::npos);
  CHECK(compared.removal.starts_with("*mangle\n-F ISTIO_DIVERT\n-X ISTIO_DIVERT\nCOMMIT\n*nat\n"));
  CHECK(compared.rebuild.starts_with("*mangle\n-F ISTIO_DIVERT\n-X ISTIO_DIVERT\nCOMMIT\n*nat\n"));
}

TEST_CASE("restoration puts ours back where they were") {
  const Plan plan = small_plan();
  const GroupIds groups;
  const Memory memory;
  const SavedState before =
      parse_save(replaced(kAsWanted, "-A OUTPUT -o", "-A OUTPUT -p tcp -j DOCKER\n-A OUTPUT -o"));
  const SavedState now =
      parse_save("*nat\n:OUTPUT ACCEPT\n:ISTIO_REDIRECT -\n-A OUTPUT -p tcp -j DOCKER\nCOMMIT\n");
  const std::string document = restoration_document(plan, {Family::kV4, now, memory, groups}, before);
  CHECK(document.starts_with("*nat\n-F ISTIO_REDIRECT\n-X ISTIO_REDIRECT\n-N ISTIO_INBOUND\n"));
  CHECK(document.find("-I OUTPUT 2 -o eth1 -j RETURN\n-I OUTPUT 3 -j ISTIO_OUTPUT\n") != std::string::npos);
  CHECK(document.find("DOCKER") == std::string::npos);
}

TEST_CASE("the guard takes only itself away") {
  const auto state = parse_save(
      "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m comment --comment sockmesh-guard -j DROP\n"
      "-A INPUT -p tcp -j DROP\nCOMMIT\n");
  CHECK(guard_removal(state) ==
        "*filter\n-D INPUT -p tcp -m comment --comment sockmesh-guard -j DROP\nCOMMIT\n");
  CHECK(guard_removal(parse_save("*filter\n-A INPUT -p tcp -j DROP\nCOMMIT\n")).empty());
  const std::string document = guard_document();
  for (const std::string_view line : split(document, '\n', /*skip_empty=*/true)) {
    if (line.starts_with("-I ")) CHECK(is_guard({"INPUT", std::string(line)}));
  }
}

}  // namespace sockmesh::iptables
