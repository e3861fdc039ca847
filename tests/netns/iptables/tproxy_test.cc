// TPROXY with a transparent listener in the pod: the connection reaches the proxy with both addresses
// unchanged, and the application sees the client's real address because the proxy connects from it.
//
//   peer --- app: TPROXY -> proxy :15006 (transparent) --- mark 1337, from the peer's address --->
//   application :8080
#include <catch2/catch.hpp>

#include "init_support/machine.h"
#include "init_support/signposts.h"

namespace sockmesh::test {

namespace {

void prove(const std::string& backend) {
  PodNetwork pods;
  Pod& app = pods.add("app");
  Pod& peer = pods.add("peer");
  // As the injector runs it in this mode: uid 0, because of IP_TRANSPARENT, and gid 1337.
  Signposts proxy{app.netns, 0, 1337}, application{app.netns};
  proxy.transparent_proxy(15006, 1337).tcp("outbound", 15001).start();
  application.tcp("application", 8080).tcp("application", 15020).start();

  const std::string flags = "-m TPROXY -b * -d 15020 -i * --dual-stack " + backend;
  const std::string before = picture_of(app.netns);
  const auto result = run_init(app.netns, flags);
  INFO(result.log);
  REQUIRE(result.exit_code == 0);
  CHECK(check_init(app.netns, flags).empty());
  CHECK(run_init(app.netns, flags).action == iptables::Action::kUnchanged);

  for (const bool ipv6 : {false, true}) {
    INFO((ipv6 ? "IPv6 " : "IPv4 ") << backend);
    const std::string client = (ipv6 ? peer.v6 : peer.v4).to_string();
    const std::string own = (ipv6 ? app.v6 : app.v4).to_string();
    CHECK(ask(peer.netns, {.to = app.at(8080, ipv6)}) ==
          fmt::format("proxy, then application {} from {}", app.at(8080, ipv6).to_string(), client));
    // conntrack takes a SYN for part of the connection before it, which the proxy reset, for as long as it
    // remembers that one.
    for (int again = 0; again < 3; ++again)
      CHECK(ask(peer.netns, {.to = app.at(8080, ipv6), .from_port = 20001}).starts_with("proxy, then "));
    // An excluded port, and the application talking to its own pod, go without the proxy.
    CHECK(ask(peer.netns, {.to = app.at(15020, ipv6)}) ==
          fmt::format("application {} from {}", app.at(15020, ipv6).to_string(), client));
    CHECK(ask(app.netns, {.to = app.at(8080, ipv6)}) ==
          fmt::format("application {} from {}", app.at(8080, ipv6).to_string(), own));
    // Outbound is REDIRECT in this mode too.
    CHECK(ask(app.netns, {.to = peer.at(8080, ipv6)})
              .starts_with("outbound " + peer.at(8080, ipv6).to_string()));
  }

  REQUIRE(run_init(app.netns, flags + " --cleanup-only").exit_code == 0);
  CHECK(changed_lines(before, picture_of(app.netns)) == kNothing);
  CHECK(ask(peer.netns, {.to = app.at(8080)}).starts_with("application "));
}

}  // namespace

TEST_CASE("TPROXY end to end, iptables-nft") { prove("--force-iptables-binary nft"); }
TEST_CASE("TPROXY end to end, iptables-legacy") { prove("--force-iptables-binary legacy"); }
TEST_CASE("TPROXY end to end, native nft") { prove("--native-nftables"); }

TEST_CASE("TPROXY with a list of ports") {
  PodNetwork pods;
  Pod& app = pods.add("app");
  Pod& peer = pods.add("peer");
  Signposts proxy{app.netns, 0, 1337}, application{app.netns};
  proxy.transparent_proxy(15006, 7).start();
  application.tcp("application", 8080).tcp("application", 8082).start();
  const auto result = run_init(app.netns, "-m TPROXY -b 8080 -t 7 -r 8 --dual-stack");
  INFO(result.log);
  REQUIRE(result.exit_code == 0);
  for (const bool ipv6 : {false, true}) {
    for (int again = 0; again < 3; ++again) {
      const std::string answer = ask(peer.netns, {.to = app.at(8080, ipv6), .from_port = 20001});
      CAPTURE(ipv6, again, answer);
      CHECK(answer.starts_with("proxy, then application "));
    }
    CHECK(ask(peer.netns, {.to = app.at(8082, ipv6)}).starts_with("application "));
  }
}

}  // namespace sockmesh::test
