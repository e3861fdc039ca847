// What is captured and what is not, asked with real connections.
//
//   app (10.12.0.11)                                 peer (10.12.0.12)
//     outbound :15001  inbound :15006  dns :15053      server :8080  :9000  :53
//     application :8080  :9000
#include <catch2/catch.hpp>

#include "init_support/machine.h"
#include "init_support/signposts.h"
#include "test_support/temp_dir.h"

namespace sockmesh::test {

namespace {

constexpr uint32_t kProxy = 1337;

struct Who {
  uint32_t uid = 1000, gid = 1000;
  const char* from = nullptr;  // "delivery": bound to 127.0.0.6 or ::6
  bool udp = false;
  uint32_t mark = 0;
};

struct Case {
  const char* what;
  const char* flags;
  const char* asker;  // app or peer
  const char* to;     // app, peer, lo or nowhere; both families are asked
  uint16_t port;
  const char* expected;  // the name of the signpost
  Who who = {};
};

#define SIDECAR "-b * -i * -d 15090,15021,15020,9000 "

const Case kCases[] = {
    {"application to a peer", SIDECAR, "app", "peer", 8080, "outbound"},
    {"application to nowhere", SIDECAR, "app", "nowhere", 80, "outbound"},
    {"proxy by uid to a peer", SIDECAR, "app", "peer", 8080, "server", {.uid = kProxy}},
    {"proxy by gid to a peer", SIDECAR, "app", "peer", 8080, "server", {.gid = kProxy}},
    {"other proxy uid", SIDECAR "-u 7,8", "app", "peer", 8080, "server", {.uid = 8}},
    {"1337 is nobody with -u 7", SIDECAR "-u 7", "app", "peer", 8080, "outbound", {.uid = kProxy}},
    {"application to its own pod by address", SIDECAR, "app", "app", 8080, "application"},
    {"application to localhost", SIDECAR, "app", "lo", 8080, "application"},
    {"proxy to its own pod by address", SIDECAR, "app", "app", 8080, "inbound", {.uid = kProxy}},
    // As in Istio: the rule of the uid, "not the proxy's uid over lo", stands first and lets it pass.
    {"proxy by gid alone to its own pod", SIDECAR, "app", "app", 8080, "application", {.gid = kProxy}},
    {"proxy to localhost", SIDECAR, "app", "lo", 8080, "application", {.uid = kProxy}},
    {"proxy delivers from 127.0.0.6",
     SIDECAR,
     "app",
     "app",
     8080,
     "application",
     {.uid = kProxy, .from = "delivery"}},
    {"peer to the application", SIDECAR, "peer", "app", 8080, "inbound"},
    {"peer to an excluded port", SIDECAR, "peer", "app", 9000, "application"},
    {"peer to a port not listed", "-b 8080", "peer", "app", 9000, "application"},
    {"peer to a listed port", "-b 8080", "peer", "app", 8080, "inbound"},
    {"no inbound capture", "-i *", "peer", "app", 8080, "application"},
    {"no outbound capture", "-b *", "app", "peer", 8080, "server"},
    {"listed blocks", "-i 10.12.0.0/24,fd12::/64", "app", "peer", 8080, "outbound"},
    {"other blocks", "-i 10.13.0.0/24,fd13::/64", "app", "peer", 8080, "server"},
    {"excluded blocks", "-i * -x 10.12.0.0/24,fd12::/64", "app", "peer", 8080, "server"},
    {"captured port", "-q 8080", "app", "peer", 8080, "outbound"},
    {"port not captured", "-q 8080", "app", "peer", 9000, "server"},
    {"excluded port", "-i * -o 8080", "app", "peer", 8080, "server"},
    {"excluded port wins for the proxy's own pod",
     "-b * -i * -o 8080",
     "app",
     "app",
     8080,
     "application",
     {.uid = kProxy}},
    {"direct connection",
     SIDECAR "--direct-mark 0x20000000",
     "app",
     "peer",
     8080,
     "server",
     {.mark = 0x20000000}},
    {"direct connection with a mark of its own besides",
     SIDECAR "--direct-mark 0x20000000",
     "app",
     "peer",
     8080,
     "server",
     {.mark = 0x20000005}},
    {"other marks",
     SIDECAR "--direct-mark 0x20000000",
     "app",
     "peer",
     8080,
     "outbound",
     {.mark = 0x10000000}},
    {"mark without its rule", SIDECAR, "app", "peer", 8080, "outbound", {.mark = 0x20000000}},
    {"excluded interface outbound", SIDECAR "-c eth0", "app", "peer", 8080, "server"},
    {"excluded interface inbound", SIDECAR "-c eth0", "peer", "app", 8080, "application"},
    {"virtual interface", SIDECAR "-k eth0", "peer", "app", 8080, "outbound"},
    {"virtual interface without includes", "-b * -k eth0", "peer", "app", 8080, "application"},
    {"DNS not captured", SIDECAR, "app", "peer", 53, "resolver", {.udp = true}},
    {"DNS over UDP", SIDECAR "--redirect-dns --capture-all-dns", "app", "peer", 53, "dns", {.udp = true}},
    {"DNS over TCP", SIDECAR "--redirect-dns --capture-all-dns", "app", "peer", 53, "dns"},
    {"DNS of the agent over UDP",
     SIDECAR "--redirect-dns --capture-all-dns",
     "app",
     "peer",
     53,
     "resolver",
     {.uid = kProxy, .udp = true}},
    {"DNS of the agent over TCP",
     SIDECAR "--redirect-dns --capture-all-dns",
     "app",
     "peer",
     53,
     "resolver",
     {.uid = kProxy}},
    {"other UDP", SIDECAR "--redirect-dns --capture-all-dns", "app", "peer", 54, "resolver", {.udp = true}},
};

// The same rows for both back ends and for nft; the signposts are shared by all.
struct Network {
  Network() {
    agent_posts.tcp("outbound", 15001)
        .tcp("inbound", 15006)
        .tcp("dns", 15053)
        .loopback_udp("dns", 15053)
        .start();
    app_posts.tcp("application", 8080).tcp("application", 9000).start();
    peer_posts.tcp("server", 8080)
        .tcp("server", 9000)
        .tcp("resolver", 53)
        .udp("resolver", 53)
        .udp("resolver", 54);
    peer_posts.start();
  }
  PodNetwork pods;
  Pod& app = pods.add("app");
  Pod& peer = pods.add("peer");
  // The zone of a DNS answer is decided by its owner, so the agent's sockets must be the agent's.
  Signposts agent_posts{app.netns, kProxy, kProxy}, app_posts{app.netns}, peer_posts{peer.netns};

  IpAddress address(const std::string& name, bool ipv6) const {
    if (name == "app") return ipv6 ? app.v6 : app.v4;
    if (name == "peer") return ipv6 ? peer.v6 : peer.v4;
    if (name == "lo") return IpAddress::loopback(ipv6);
    return IpAddress::parse(ipv6 ? "fd99::1" : "10.99.0.1").value();
  }
};

void ask_all(const std::string& mode) {
  Network net;
  std::string applied;
  for (const Case& row : kCases) {
    const std::string flags = std::string(row.flags) + " --dual-stack " + mode;
    if (flags != applied) {
      if (!applied.empty()) REQUIRE(run_init(net.app.netns, applied + " --cleanup-only").exit_code == 0);
      const auto result = run_init(net.app.netns, flags);
      INFO(flags << "\n" << result.log);
      REQUIRE(result.exit_code == 0);
      applied = flags;
    }
    for (const bool ipv6 : {false, true}) {
      INFO(row.what << " (" << (ipv6 ? "IPv6" : "IPv4") << ") " << flags);
      Question question{.to = {net.address(row.to, ipv6), row.port},
                        .uid = row.who.uid,
                        .gid = row.who.gid,
                        .udp = row.who.udp,
                        .mark = row.who.mark};
      if (row.who.from) question.from = IpAddress::parse(ipv6 ? "::6" : "127.0.0.6").value();
      const std::string answer =
          ask(std::string(row.asker) == "peer" ? net.peer.netns : net.app.netns, question);
      const std::string expected(row.expected);
      if (row.who.udp)
        CHECK(answer == expected);
      else
        CHECK(answer.starts_with(expected + " " + question.to.to_string() + " "));
    }
  }
}

}  // namespace

TEST_CASE("captured and not captured, iptables-nft") { ask_all("--force-iptables-binary nft"); }
TEST_CASE("captured and not captured, iptables-legacy") { ask_all("--force-iptables-binary legacy"); }
TEST_CASE("captured and not captured, native nft") { ask_all("--native-nftables"); }

TEST_CASE("only the servers of resolv.conf are captured") {
  Network net;
  Pod& other = net.pods.add("other");
  Signposts other_posts{other.netns};
  other_posts.udp("resolver", 53).start();
  const TempDir dir;
  dir.write("resolv.conf", "nameserver 10.12.0.12\nnameserver fd12::c\n");
  REQUIRE(net.peer.v6.to_string() == "fd12::c");
  const std::string flags = "-i * --dual-stack --redirect-dns --resolv-conf " + dir.file("resolv.conf");
  const auto result = run_init(net.app.netns, flags);
  INFO(result.log);
  REQUIRE(result.exit_code == 0);
  for (const bool ipv6 : {false, true}) {
    CHECK(ask(net.app.netns, {.to = net.peer.at(53, ipv6), .udp = true}) == "dns");
    CHECK(ask(net.app.netns, {.to = net.peer.at(53, ipv6)}).starts_with("dns "));
    // Another server: its UDP is left alone, its TCP is captured like any other TCP.
    CHECK(ask(net.app.netns, {.to = other.at(53, ipv6), .udp = true}) == "resolver");
    CHECK(ask(net.app.netns, {.to = other.at(53, ipv6)}).starts_with("outbound "));
  }
}

TEST_CASE("groups") {
  Network net;
  auto options = options_of("-i * --dual-stack", net.app.netns);
  const auto log = [](const std::string&) {};
  options.owner_groups_exclude = {"888", "games"};
  REQUIRE(iptables::run_transaction(options, log));
  CHECK(ask(net.app.netns, {.to = net.peer.at(8080), .gid = 888}).starts_with("server "));
  CHECK(ask(net.app.netns, {.to = net.peer.at(8080, true), .gid = 60}).starts_with("server "));
  CHECK(ask(net.app.netns, {.to = net.peer.at(8080), .gid = 889}).starts_with("outbound "));
  options.reconcile = true;
  options.owner_groups = {.all = false, .list = {"888", "games"}};
  REQUIRE(iptables::run_transaction(options, log) == iptables::Action::kReconciled);
  CHECK(ask(net.app.netns, {.to = net.peer.at(8080), .gid = 888}).starts_with("outbound "));
  CHECK(ask(net.app.netns, {.to = net.peer.at(8080, true), .gid = 60}).starts_with("outbound "));
  CHECK(ask(net.app.netns, {.to = net.peer.at(8080), .gid = 889}).starts_with("server "));
}

}  // namespace sockmesh::test
