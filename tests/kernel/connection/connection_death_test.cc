// A process that dies with connections that are not relayed yet: held, looked at, waiting for the upstream.
// The client has got nothing, and must not take that for a whole answer; nor the upstream, for a whole
// request.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "proxy.h"
#include "test_support/eventually.h"
#include "test_support/fork.h"

using namespace sockmesh;
using namespace sockmesh::test;

namespace {

// dialled: connect() was called and succeeded, and nobody has looked yet.
enum class Until { kHeld, kInspecting, kConnecting, kDialled, kRelaying };
const char* to_string(Until state) {
  constexpr const char* kNames[] = {"held", "inspecting", "connecting", "dialled", "relaying"};
  return kNames[static_cast<size_t>(state)];
}

// What a child says of itself: where it listens, and the folder that it will not have removed.
struct Living {
  uint16_t port;
  char folder[64];
};

// Runs in a child of its own: a proxy that brings one connection as far as `until`, says so, and waits to be
// killed. The pipe carries a Living and then the news.
void live(Until until, const SocketAddress& upstream, int tell) {
  Proxy proxy;
  proxy.cluster("somewhere", {upstream}).connect_timeout = std::chrono::seconds(60);
  proxy.chain("plain", {"somewhere"});
  proxy.listener().inspect_tls = until == Until::kInspecting;  // and nothing is said
  if (until != Until::kHeld) proxy.publish();
  Living self{proxy.address().port, {}};
  const std::string folder = std::filesystem::path(proxy.mesh().access_log_file).parent_path();
  folder.copy(self.folder, sizeof self.folder - 1);
  if (until == Until::kDialled) proxy.stop_in(telemetry::ConnectionState::kConnecting);
  if (write(tell, &self, sizeof self) != sizeof self) return;
  using telemetry::ConnectionState;
  const ConnectionState wanted = until == Until::kHeld         ? ConnectionState::kAccepted
                                 : until == Until::kInspecting ? ConnectionState::kInspecting
                                 : until == Until::kConnecting ? ConnectionState::kConnecting
                                                               : ConnectionState::kRelaying;
  if (until == Until::kDialled) {
    proxy.stopped();
  } else {
    (void)eventually([&] {
      const auto flows = proxy.flows();
      return flows.size() == 1 && flows[0].state == wanted;
    });
  }
  if (write(tell, "x", 1) == 1) pause();
}

// Does not wait for the answer.
Fd dial(uint16_t port) {
  const SocketAddress address{IpAddress::loopback(false), port};
  sockaddr_storage storage{};
  const socklen_t size = address.to_sockaddr(storage);
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), size);
  return socket;
}

}  // namespace

TEST_CASE("killed before or while it relays, the client is reset") {
  const auto until =
      GENERATE(Until::kHeld, Until::kInspecting, Until::kConnecting, Until::kDialled, Until::kRelaying);
  INFO(to_string(until));
  Server upstream(false, until == Until::kConnecting ? 0 : 16);
  std::vector<Fd> fillers;  // a full backlog drops SYNs: one connection is in it, a second one behind it
  for (int i = 0; until == Until::kConnecting && i < 2; ++i) fillers.push_back(dial(upstream.address().port));
  Fork child([&](int tell) { live(until, upstream.address(), tell); });
  const auto self = child.hear_value<Living>();
  Fd socket = dial(self.port);
  fcntl(socket.get(), F_SETFL, 0);
  Peer client(std::move(socket));
  REQUIRE(child.hear(1) == "x");
  child.die();
  std::filesystem::remove_all(self.folder);
  CHECK(client.end() == "reset");
  if (until >= Until::kDialled) CHECK(upstream.accept().end() == "reset");
}
