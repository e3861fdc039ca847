// connect() as applications make it, with lane 3 underneath: the kinds of socket and of connect() that there
// are. Each behaves as without us, or reaches the endpoint at once.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "bpf/direct_record.h"
#include "direct_pod.h"
#include "test_support/eventually.h"
#include "test_support/fork.h"

using namespace sockmesh;
using namespace sockmesh::test;
using bpf::DirectCluster;

namespace {

constexpr uint32_t kMark = 0x20000000;  // DirectMaps::Options

// A byte each way.
void talk(const Fd& client, const Fd& server) {
  send_all(client, 1);
  CHECK(receive(server, 1) == 1);
  send_all(server, 1);
  CHECK(receive(client, 1) == 1);
}

// The rest of a connect() that is under way; 0 or its error.
int finish(const Fd& socket) {
  pollfd ready{socket.get(), POLLOUT, 0};
  REQUIRE(poll(&ready, 1, static_cast<int>(patient(std::chrono::seconds(10)).count())) == 1);
  return option_of(socket, SOL_SOCKET, SO_ERROR);
}

}  // namespace

TEST_CASE("connect() goes to the endpoint, and the peer is whom the application asked for") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const SocketAddress asked = service(7, 80, ipv6), real = endpoint(1, 8080, ipv6);
    const Fd listener = listen_at(real);
    pod.serve(asked, ipv6 ? 2 : 1, {real});
    const Fd client = tcp(ipv6);
    REQUIRE(connect_to(client, asked) == 0);
    const Fd server = accept_from(listener);
    talk(client, server);
    CHECK(peer_of(client) == asked);
    CHECK(local_of(server) == real);
    CHECK(mark_of(client) == kMark);
    // Neither accept() nor the server's getpeername() is led astray, though its socket belongs to the same
    // pod.
    CHECK(peer_of(server) == local_of(client));
    CHECK(mark_of(server) == 0);
    const Fd again = tcp(ipv6);
    REQUIRE(connect_to(again, asked) == 0);
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const Fd accepted(accept(listener.get(), reinterpret_cast<sockaddr*>(&from), &length));
    REQUIRE(accepted);
    CHECK(SocketAddress::from(reinterpret_cast<sockaddr*>(&from), length).value() == local_of(again));

    const direct_record opened = pod.event(DIRECT_OPENED, cookie_of(client));
    CHECK(bpf::from_kernel(opened.flow.asked) == asked);
    CHECK(bpf::from_kernel(opened.reading.remote) == real);
    CHECK(bpf::from_kernel(opened.reading.local) == local_of(client));
    CHECK(opened.flow.generation == pod.generation());
    CHECK(opened.flow.connect_ns <= opened.flow.established_ns);
    CHECK(opened.reading.now_ns >= opened.flow.established_ns);
    CHECK(opened.reading.srtt_us > 0);
    CHECK(opened.flow.ipv6 == ipv6);
  }
  CHECK(pod.count(DIRECT_COUNT_REWRITTEN) == 4);
}

TEST_CASE("the exact address decides, then the longest prefix of the port, then that of any port") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const auto prefix = [&](const char* v4, const char* v6) { return Prefix::parse(ipv6 ? v6 : v4).value(); };
    const bpf::DirectVerdict exact{DIRECT_REFUSE, 0, EPERM}, longer{DIRECT_REFUSE, 0, ETIMEDOUT},
        port{DIRECT_REFUSE, 0, EHOSTUNREACH}, any{DIRECT_REFUSE, 0, ECONNRESET},
        all{DIRECT_REFUSE, 0, EACCES};
    pod.table.destinations[service(1, 80, ipv6)] = exact;
    pod.table.prefixes[{prefix("10.96.0.2/32", "fd96::2/128"), 80}] = longer;
    pod.table.prefixes[{prefix("10.96.0.0/16", "fd96::/16"), 80}] = port;
    pod.table.prefixes[{prefix("10.96.0.3/32", "fd96::3/128"), 0}] = any;
    pod.table.prefixes[{prefix("0.0.0.0/0", "::/0"), 0}] = all;
    pod.apply();
    CHECK(connect_to(tcp(ipv6), service(1, 80, ipv6)) == EPERM);
    CHECK(connect_to(tcp(ipv6), service(2, 80, ipv6)) == ETIMEDOUT);
    CHECK(connect_to(tcp(ipv6), service(3, 80, ipv6)) == EHOSTUNREACH);  // the port goes before the length
    CHECK(connect_to(tcp(ipv6), service(3, 81, ipv6)) == ECONNRESET);
    CHECK(connect_to(tcp(ipv6), service(4, 81, ipv6)) == EACCES);
    // An entry of all addresses is one of its family: the other one is not hit.
    pod.table = {};
    pod.table.prefixes[{prefix("0.0.0.0/0", "::/0"), 0}] = all;
    pod.apply();
    CHECK(connect_to(tcp(ipv6), service(4, 81, ipv6)) == EACCES);
    CHECK(connect_to(tcp(!ipv6), service(4, 81, !ipv6)) == ENETUNREACH);
    CHECK(connect_to(tcp(true), service(4, 81, false)) == (ipv6 ? ENETUNREACH : EACCES));
    pod.table = {};
    pod.apply();
  }
}

TEST_CASE("what has no entry, or one that says so, is left alone") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    pod.table.destinations[service(2, 80, ipv6)] = {};
    pod.table.destinations[service(3, 80, ipv6)] = {.kind = DIRECT_ROUTE, .route = 99};
    pod.apply();
    for (const int number : {1, 2, 3}) {
      const Fd client = tcp(ipv6);
      CHECK(connect_to(client, service(number, 80, ipv6)) == ENETUNREACH);
      CHECK(mark_of(client) == 0);
    }
  }
  CHECK(pod.count(DIRECT_COUNT_MISSED) == 2);
  CHECK(pod.count(DIRECT_COUNT_INTERCEPTED) == 2);
  CHECK(pod.count(DIRECT_COUNT_INCOMPLETE) == 2);
  CHECK(pod.all_open() == 0);
}

TEST_CASE("a refusal is the errno of the decision, at once, however the application connects") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const SocketAddress good = service(9, 80, ipv6), real = endpoint(1, 8080, ipv6);
    const Fd listener = listen_at(real);
    pod.serve(good, 9, {real});
    for (const int error : {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, EPERM}) {
      const SocketAddress asked = service(1, 80, ipv6);
      pod.refuse(asked, error);
      const Fd blocking = tcp(ipv6), polling = tcp(ipv6, false), fast = tcp(ipv6), deferred = tcp(ipv6);
      CHECK(connect_to(blocking, asked) == error);
      CHECK(connect_to(polling, asked) == error);
      sockaddr_storage storage{};
      const socklen_t length = asked.to_sockaddr(storage);
      CHECK(sendto(fast.get(), "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&storage),
                   length) == -1);
      CHECK(errno == error);
      set_option(deferred, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
      CHECK(connect_to(deferred, asked) == error);
      for (const Fd* socket : {&blocking, &polling, &fast, &deferred}) {
        CHECK(option_of(*socket, SOL_SOCKET, SO_ERROR) == 0);
        CHECK(mark_of(*socket) == 0);
        CHECK(!SocketAddress::peer_of(socket->get()));
      }
      // The socket is as good as new.
      REQUIRE(connect_to(blocking, good) == 0);
      talk(blocking, accept_from(listener));
      CHECK(peer_of(blocking) == good);
    }
    pod.serve(service(2, 80, ipv6), 2, {});
    CHECK(connect_to(tcp(ipv6), service(2, 80, ipv6)) == ECONNREFUSED);
  }
  CHECK(pod.count(DIRECT_COUNT_NO_HOST) == 2);
  CHECK(pod.count(DIRECT_COUNT_REFUSED) == 2 * 5 * 4);
  EVENTUALLY(pod.all_open() == 0);
}

TEST_CASE("an endpoint that does not answer is given up after the cluster's timeout, or the application's") {
  DirectPod pod;
  pod.add_hole();
  using namespace std::chrono_literals;
  for (const bool ipv6 : {false, true}) {
    pod.serve(service(1, 80, ipv6), 1, {endpoint(9, 1, ipv6)},
              [](bpf::DirectCluster& cluster) { cluster.connect_timeout = 1200ms; });
    pod.serve(service(2, 80, ipv6), 2, {endpoint(9, 1, ipv6)},
              [](bpf::DirectCluster& cluster) { cluster.connect_timeout = 1h; });
    // The kernel itself gives up after two minutes, which is longer than this test may take.
    const Fd client = tcp(ipv6), impatient = tcp(ipv6);
    CHECK(connect_to(client, service(1, 80, ipv6)) == ETIMEDOUT);
    set_option(impatient, IPPROTO_TCP, TCP_USER_TIMEOUT, 1100);
    CHECK(connect_to(impatient, service(2, 80, ipv6)) == ETIMEDOUT);
    CHECK(option_of(impatient, IPPROTO_TCP, TCP_USER_TIMEOUT) == 1100);
    CHECK(pod.event(DIRECT_FAILED, cookie_of(client)).reading.error == ETIMEDOUT);
    // What is left alone next is as if it had never been led.
    CHECK(connect_to(client, service(7, 80, ipv6)) == ENETUNREACH);
    CHECK(option_of(client, IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);
  }
}

TEST_CASE("the timeout of connecting is taken back once the connection stands") {
  DirectPod pod;
  using namespace std::chrono_literals;
  for (const bool ipv6 : {false, true}) {
    const Fd listener = listen_at(endpoint(1, 8080, ipv6));
    pod.serve(service(1, 80, ipv6), 1, {endpoint(1, 8080, ipv6)},
              [](bpf::DirectCluster& cluster) { cluster.connect_timeout = 3s; });
    for (const int own : {0, 1234, 60'000}) {
      Fd client = tcp(ipv6);
      set_option(client, IPPROTO_TCP, TCP_USER_TIMEOUT, own);
      for (int again = 0; again < 2; ++again) {
        REQUIRE(connect_to(client, service(1, 80, ipv6)) == 0);
        CHECK(option_of(client, IPPROTO_TCP, TCP_USER_TIMEOUT) == own);
        talk(client, accept_from(listener));
        REQUIRE(disconnect(client) == 0);
      }
    }
  }
}

TEST_CASE("a connect() that the decisions refuse is told, with what was asked, by which socket, and why") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const SocketAddress nobody = service(1, 80, ipv6), full = service(2, 80, ipv6);
    const Fd listener = listen_at(endpoint(1, 8080, ipv6));
    pod.serve(nobody, 1, {});
    pod.serve(full, 2, {endpoint(1, 8080, ipv6)}, [](bpf::DirectCluster& cluster) {
      cluster.max_connections = 0;
      cluster.refuse_when_full = true;
    });
    const Fd unbound = tcp(ipv6), bound = tcp(ipv6);
    REQUIRE(bind_to(bound, endpoint(2, 0, ipv6)) == 0);
    REQUIRE(connect_to(unbound, nobody) == ECONNREFUSED);
    REQUIRE(connect_to(bound, full) == ECONNREFUSED);

    const direct_record first = pod.event(DIRECT_REFUSED, cookie_of(unbound));
    CHECK(bpf::from_kernel(first.flow.asked) == nobody);
    CHECK(first.flow.cluster == 1);
    CHECK(first.flow.generation == pod.generation());
    CHECK(first.flow.established_ns == 0);
    CHECK(first.from_state == DIRECT_COUNT_NO_HOST);
    CHECK(first.reading.error == ECONNREFUSED);
    CHECK(bpf::from_kernel(first.reading.local).ip.is_any());
    const direct_record second = pod.event(DIRECT_REFUSED, cookie_of(bound));
    CHECK(second.from_state == DIRECT_COUNT_REFUSED_FULL);
    CHECK(second.flow.cluster == 2);
    CHECK(bpf::from_kernel(second.reading.local).ip == endpoint(2, 0, ipv6).ip);
  }
  CHECK(pod.all_open() == 0);
}

TEST_CASE("refused, unreachable and timed out endpoints are the application's own errors, and are told") {
  DirectPod pod;
  pod.add_hole();
  pod.netns().ip("route add unreachable 10.1.0.8/32\nroute add unreachable fd01::8/128");
  for (const bool ipv6 : {false, true}) {
    for (const bool blocking : {true, false}) {
      const auto connect_by = [&](const SocketAddress& real, bool impatient) {
        const SocketAddress asked = service(1, 80, ipv6);
        pod.serve(asked, 1, {real});
        Fd client = tcp(ipv6, blocking);
        if (impatient) {
          set_option(client, IPPROTO_TCP, TCP_SYNCNT, 1);
          set_option(client, IPPROTO_TCP, TCP_USER_TIMEOUT, 100);
        }
        int error = connect_to(client, asked);
        if (error == EINPROGRESS) error = finish(client);
        return std::pair(std::move(client), error);
      };
      {
        const auto [client, error] = connect_by(endpoint(1, 1, ipv6), false);
        CHECK(error == ECONNREFUSED);
        const direct_record failed = pod.event(DIRECT_FAILED, cookie_of(client));
        CHECK(failed.reading.error == ECONNREFUSED);
        CHECK(failed.flow.established_ns == 0);
        CHECK(bpf::from_kernel(failed.reading.remote) == endpoint(1, 1, ipv6));
      }
      {  // fails before a SYN is sent: nothing to count, nothing to tell
        const auto [client, error] = connect_by(endpoint(8, 1, ipv6), false);
        CHECK(error == EHOSTUNREACH);
      }
      {
        const auto [client, error] = connect_by(endpoint(9, 1, ipv6), true);
        CHECK(error == ETIMEDOUT);
        const direct_record failed = pod.event(DIRECT_FAILED, cookie_of(client));
        CHECK(failed.reading.error == ETIMEDOUT);
        CHECK(failed.reading.retransmits >= 1);
      }
    }
  }
  CHECK(pod.all_open() == 0);
}

TEST_CASE("a non-blocking connect() is under way, then ready") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const SocketAddress asked = service(1, 80, ipv6), real = endpoint(1, 8080, ipv6);
    const Fd listener = listen_at(real);
    pod.serve(asked, 1, {real});
    const Fd client = tcp(ipv6, false);
    CHECK(connect_to(client, asked) == EINPROGRESS);
    CHECK(finish(client) == 0);
    CHECK(connect_to(client, asked) == 0);  // the second call collects the result
    CHECK(connect_to(client, asked) == EISCONN);
    CHECK(peer_of(client) == asked);
    CHECK(pod.open(100) == 1);
    CHECK(accept_from(listener));
  }
}

TEST_CASE("a source address is kept; a source port, or loopback, is left to the proxy") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const SocketAddress asked = service(1, 80, ipv6), real = endpoint(1, 8080, ipv6);
    const Fd listener = listen_at(real);
    pod.serve(asked, 1, {real});
    for (const bool late : {false, true}) {
      const Fd client = tcp(ipv6);
      if (late) set_option(client, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
      REQUIRE(bind_to(client, endpoint(3, 0, ipv6)) == 0);
      REQUIRE(connect_to(client, asked) == 0);
      const Fd server = accept_from(listener);
      CHECK(peer_of(server).ip == endpoint(3, 0, ipv6).ip);
      CHECK(peer_of(client) == asked);
    }
    // One port may be used towards two services. To us they could be one endpoint.
    pod.serve(service(2, 80, ipv6), 2, {real});
    const uint64_t bound = pod.count(DIRECT_COUNT_BOUND);
    for (const int number : {1, 2}) {
      const Fd client = tcp(ipv6);
      set_option(client, SOL_SOCKET, SO_REUSEADDR, 1);
      REQUIRE(bind_to(client, endpoint(3, 7777, ipv6)) == 0);
      CHECK(connect_to(client, service(number, 80, ipv6)) == ENETUNREACH);
    }
    const Fd local = tcp(ipv6);
    REQUIRE(bind_to(local, {IpAddress::loopback(ipv6), 0}) == 0);
    CHECK(connect_to(local, asked) != 0);
    const Fd device = tcp(ipv6, false);
    REQUIRE(setsockopt(device.get(), SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) == 0);
    CHECK(connect_to(device, asked) == (ipv6 ? ENETUNREACH : EINPROGRESS));  // to nobody, as ever
    CHECK(mark_of(device) == 0);
    CHECK(pod.count(DIRECT_COUNT_BOUND) == bound + 4);
  }
}

TEST_CASE("an AF_INET6 socket reaches IPv4 services, and either family's endpoints") {
  DirectPod pod;
  const Fd v4_listener = listen_at(endpoint(1, 8080)), v6_listener = listen_at(endpoint(1, 8080, true));
  struct Case {
    bool v6_service, v6_endpoint;
  };
  for (const auto& [v6_service, v6_endpoint] : {Case{false, false}, Case{false, true}, Case{true, false}}) {
    const SocketAddress asked = service(1, 80, v6_service), real = endpoint(1, 8080, v6_endpoint);
    pod.serve(asked, 1, {real});
    const Fd client = tcp(true);
    REQUIRE(connect_to(client, asked) == 0);
    talk(client, accept_from(v6_endpoint ? v6_listener : v4_listener));
    CHECK(peer_of(client) == asked);
    sockaddr_in6 raw{};
    socklen_t length = sizeof raw;
    REQUIRE(getpeername(client.get(), reinterpret_cast<sockaddr*>(&raw), &length) == 0);
    CHECK(raw.sin6_family == AF_INET6);
    CHECK(IN6_IS_ADDR_V4MAPPED(&raw.sin6_addr) == !v6_service);
    const direct_record opened = pod.event(DIRECT_OPENED, cookie_of(client));
    CHECK(bpf::from_kernel(opened.reading.remote) == real);
    CHECK(bpf::from_kernel(opened.reading.local) == local_of(client));
  }
}

TEST_CASE("a socket that cannot reach the endpoint's family is left alone") {
  DirectPod pod;
  const Fd v4_listener = listen_at(endpoint(1, 8080)), v6_listener = listen_at(endpoint(1, 8080, true));
  // Its last four bytes are an IPv4 endpoint, which a half of it must not become.
  pod.serve(service(1, 80), 1, {SocketAddress::parse("[fd01::a01:1]:8080").value()});
  CHECK(connect_to(tcp(false), service(1, 80)) == ENETUNREACH);
  pod.serve(service(1, 80, true), 2, {endpoint(1, 8080)});
  const Fd only_v6 = tcp(true), bound = tcp(true);
  set_option(only_v6, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  CHECK(connect_to(only_v6, service(1, 80, true)) == ENETUNREACH);
  REQUIRE(bind_to(bound, endpoint(2, 0, true)) == 0);
  CHECK(connect_to(bound, service(1, 80, true)) == ENETUNREACH);
  // Bound to an IPv4 address, and led to IPv6.
  const Fd bound_v4 = tcp(true);
  REQUIRE(bind_to(bound_v4, endpoint(2, 0)) == 0);
  CHECK(connect_to(bound_v4, service(1, 80)) == ENETUNREACH);
  CHECK(pod.count(DIRECT_COUNT_FAMILY) == 4);
  CHECK(pod.all_open() == 0);
}

TEST_CASE("Happy Eyeballs: both attempts count, and the loser is a short flow without bytes") {
  DirectPod pod;
  const Fd v4_listener = listen_at(endpoint(1, 8080)), v6_listener = listen_at(endpoint(1, 8080, true));
  pod.serve(service(1, 80), 1, {endpoint(1, 8080)});
  pod.serve(service(1, 80, true), 2, {endpoint(1, 8080, true)});
  Fd v6 = tcp(true, false), v4 = tcp(false, false);
  CHECK(connect_to(v6, service(1, 80, true)) == EINPROGRESS);
  CHECK(connect_to(v4, service(1, 80)) == EINPROGRESS);
  CHECK(finish(v6) == 0);
  CHECK(finish(v4) == 0);
  CHECK(pod.open(100) == 1);
  CHECK(pod.open(200) == 1);
  const uint64_t loser = cookie_of(v4);
  v4.reset();
  accept_from(v4_listener).reset();
  const direct_record ended = pod.event(DIRECT_ENDED, loser);
  CHECK(bpf::sent_bytes(ended) == 0);
  CHECK(pod.open(100) == 0);
  CHECK(pod.open(200) == 1);
  CHECK(peer_of(v6) == service(1, 80, true));
}

TEST_CASE("TCP_FASTOPEN_CONNECT sends with the SYN, and counts when it does") {
  DirectPod pod;
  pod.netns().set_sysctl("net/ipv4/tcp_fastopen", "3");
  for (const bool ipv6 : {false, true}) {
    const SocketAddress asked = service(1, 80, ipv6), real = endpoint(1, 8080, ipv6);
    const Fd listener = listen_at(real);
    set_option(listener, IPPROTO_TCP, TCP_FASTOPEN, 16);
    pod.serve(asked, 1, {real});
    for (const bool has_cookie : {false, true}) {
      Fd client = tcp(ipv6);
      set_option(client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
      REQUIRE(connect_to(client, asked) == 0);
      if (has_cookie) CHECK(pod.open(100) == 0);  // nothing was sent yet
      send_all(client, 1000);
      CHECK(pod.open(100) == 1);
      Fd server = accept_from(listener);
      CHECK(receive(server, 1000) == 1000);
      send_all(server, 1);
      CHECK(receive(client, 1) == 1);
      CHECK(peer_of(client) == asked);
      tcp_info info{};
      socklen_t length = sizeof info;
      REQUIRE(getsockopt(client.get(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
      CHECK(((info.tcpi_options & TCPI_OPT_SYN_DATA) != 0) == has_cookie);
      const uint64_t cookie = cookie_of(client);
      client.reset();
      server.reset();
      const direct_record ended = pod.event(DIRECT_ENDED, cookie);
      CHECK(bpf::sent_bytes(ended) == 1000);
      CHECK(pod.open(100) == 0);
    }
  }
}

TEST_CASE("a socket with TCP_FASTOPEN_CONNECT that never sends is never counted") {
  DirectPod pod;
  pod.netns().set_sysctl("net/ipv4/tcp_fastopen", "3");
  const Fd listener = listen_at(endpoint(1, 8080));
  set_option(listener, IPPROTO_TCP, TCP_FASTOPEN, 16);
  pod.serve(service(1, 80), 1, {endpoint(1, 8080)});
  for (int i = 0; i < 2; ++i) {
    const Fd client = tcp();
    set_option(client, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    REQUIRE(connect_to(client, service(1, 80)) == 0);
    if (i == 0) send_all(client, 1);  // gets the cookie
    if (i == 0) accept_from(listener).reset();
  }
  EVENTUALLY(pod.all_open() == 0);
}

TEST_CASE("MPTCP is left alone") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const Fd listener = listen_at(endpoint(1, 8080, ipv6));
    pod.serve(service(1, 80, ipv6), 1, {endpoint(1, 8080, ipv6)});
    const Fd client(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262 /* IPPROTO_MPTCP */));
    REQUIRE(client);  // every kernel that this runs on has it
    CHECK(connect_to(client, service(1, 80, ipv6)) == ENETUNREACH);
    // An endpoint itself is reached as ever.
    const Fd other(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262));
    REQUIRE(connect_to(other, endpoint(1, 8080, ipv6)) == 0);
    CHECK(peer_of(other) == endpoint(1, 8080, ipv6));
  }
  CHECK(pod.count(DIRECT_COUNT_MPTCP) == 4);
  CHECK(pod.all_open() == 0);
}

TEST_CASE("a connected UDP socket goes where it wants") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const int family = ipv6 ? AF_INET6 : AF_INET;
    const Fd server(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        client(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    REQUIRE(bind_to(server, endpoint(1, 5353, ipv6)) == 0);
    pod.serve(endpoint(1, 5353, ipv6), 1, {endpoint(2, 5354, ipv6)});
    pod.refuse(endpoint(1, 5355, ipv6), EPERM);
    REQUIRE(connect_to(client, endpoint(1, 5353, ipv6)) == 0);
    CHECK(peer_of(client) == endpoint(1, 5353, ipv6));
    CHECK(mark_of(client) == 0);
    send_all(client, 10);
    CHECK(receive(server, 10) == 10);
    CHECK(connect_to(client, endpoint(1, 5355, ipv6)) == 0);
  }
  for (int what = 0; what < DIRECT_COUNTS; ++what) CHECK(pod.count(static_cast<direct_count>(what)) == 0);
}

TEST_CASE("a socket that connects again forgets where it was led before") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const Fd first = listen_at(endpoint(1, 8080, ipv6)), second = listen_at(endpoint(2, 8080, ipv6)),
             plain = listen_at(endpoint(3, 8080, ipv6));
    pod.serve(service(1, 80, ipv6), 1, {endpoint(1, 8080, ipv6)});
    pod.serve(service(2, 80, ipv6), 2, {endpoint(2, 8080, ipv6)});
    pod.serve(service(3, 80, ipv6), 3, {endpoint(4, 1, ipv6)});  // nobody listens
    pod.refuse(service(4, 80, ipv6), ECONNREFUSED);
    const Fd client = tcp(ipv6);
    set_option(client, SOL_SOCKET, SO_MARK, 5);  // the application's own

    REQUIRE(connect_to(client, service(1, 80, ipv6)) == 0);
    CHECK(peer_of(client) == service(1, 80, ipv6));
    CHECK(mark_of(client) == (kMark | 5));
    REQUIRE(disconnect(client) == 0);
    EVENTUALLY(pod.all_open() == 0);
    accept_from(first).reset();

    REQUIRE(connect_to(client, service(2, 80, ipv6)) == 0);  // another service
    CHECK(peer_of(client) == service(2, 80, ipv6));
    CHECK(pod.open(100) == 0);
    CHECK(pod.open(200) == 1);
    REQUIRE(disconnect(client) == 0);
    accept_from(second).reset();

    REQUIRE(connect_to(client, service(3, 80, ipv6)) == ECONNREFUSED);  // by the endpoint
    REQUIRE(connect_to(client, endpoint(3, 8080, ipv6)) == 0);          // no service
    CHECK(peer_of(client) == endpoint(3, 8080, ipv6));
    CHECK(mark_of(client) == 5);
    REQUIRE(disconnect(client) == 0);
    accept_from(plain).reset();

    REQUIRE(connect_to(client, service(1, 80, ipv6)) == 0);
    REQUIRE(disconnect(client) == 0);
    REQUIRE(connect_to(client, service(4, 80, ipv6)) == ECONNREFUSED);  // by the decision
    CHECK(mark_of(client) == 5);
    REQUIRE(connect_to(client, endpoint(3, 8080, ipv6)) == 0);
    CHECK(peer_of(client) == endpoint(3, 8080, ipv6));
    CHECK(mark_of(client) == 5);
    EVENTUALLY(pod.all_open() == 0);
  }
  CHECK(pod.count(DIRECT_COUNT_RECOUNTED) == 0);
}

TEST_CASE("a mark that the application sets meanwhile is not taken from it") {
  bpf::DirectMaps::Options options;
  options.mark_mask = 0x70000000;
  DirectPod pod(options);
  const Fd listener = listen_at(endpoint(1, 8080));
  pod.serve(service(1, 80), 1, {endpoint(1, 8080)});
  const Fd client = tcp();
  set_option(client, SOL_SOCKET, SO_MARK, 0x10000005);
  for (const uint32_t later : {0x40000006u, kMark | 7u}) {
    REQUIRE(connect_to(client, service(1, 80)) == 0);
    CHECK((mark_of(client) & options.mark_mask) == kMark);
    set_option(client, SOL_SOCKET, SO_MARK, static_cast<int>(later));
    REQUIRE(disconnect(client) == 0);
    CHECK(connect_to(client, service(2, 80)) == ENETUNREACH);
    // What looks like ours is taken for ours.
    CHECK(mark_of(client) == (later == (kMark | 7u) ? 0x40000007u : later));
  }
}

TEST_CASE("Passthrough: the address stays, and the socket is marked, counted and told of") {
  DirectPod pod;
  for (const bool ipv6 : {false, true}) {
    const SocketAddress asked = endpoint(1, 8080, ipv6);
    const Fd listener = listen_at(asked);
    pod.table.prefixes[{Prefix::parse(ipv6 ? "::/0" : "0.0.0.0/0").value(), 0}] = {.kind = DIRECT_ROUTE,
                                                                                   .route = 1};
    pod.table.routes[1] = {{{1, 1}}};
    pod.table.clusters[1] = {.balancing = DIRECT_ORIGINAL, .live = 100};
    pod.apply();
    Fd client = tcp(ipv6);
    REQUIRE(connect_to(client, asked) == 0);
    CHECK(peer_of(client) == asked);
    CHECK(mark_of(client) == kMark);
    CHECK(pod.open(100) == 1);
    const direct_record opened = pod.event(DIRECT_OPENED, cookie_of(client));
    CHECK(opened.flow.host_live == DIRECT_NONE);
    CHECK(bpf::from_kernel(opened.reading.remote) == asked);
    client.reset();
    accept_from(listener).reset();
    EVENTUALLY(pod.open(100) == 0);
    // What never leaves the pod is nobody's business.
    const Fd local_listener = listen_at({IpAddress::loopback(ipv6), 0});
    const Fd local = tcp(ipv6);
    REQUIRE(connect_to(local, local_of(local_listener)) == 0);
    CHECK(mark_of(local) == 0);
  }
  CHECK(pod.count(DIRECT_COUNT_ORIGINAL) == 2);
  CHECK(pod.count(DIRECT_COUNT_LOCAL) == 2);
}

TEST_CASE("the proxy's own sockets are left alone, by user or by group") {
  for (const bool by_uid : {true, false}) {
    bpf::DirectMaps::Options options;
    options.proxy_uid = by_uid ? std::optional<uint32_t>(1337) : std::nullopt;
    options.proxy_gid = by_uid ? std::nullopt : std::optional<uint32_t>(1337);
    DirectPod pod(options);
    pod.refuse(service(1, 80), EPERM);
    const auto connect_as = [&](uid_t uid, gid_t gid) {
      Fork child([&](int tell) {
        if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0) return;
        const int error = connect_to(tcp(), service(1, 80));
        (void)!write(tell, &error, sizeof error);
      });
      return child.hear_value<int>();
    };
    CHECK(connect_as(1337, 1) == (by_uid ? ENETUNREACH : EPERM));
    CHECK(connect_as(1, 1337) == (by_uid ? EPERM : ENETUNREACH));
    CHECK(connect_as(1, 1) == EPERM);
    CHECK(pod.count(DIRECT_COUNT_OWN) == 1);
  }
}

TEST_CASE("the kill switch leaves new connections alone, and open ones go on") {
  DirectPod pod;
  const Fd listener = listen_at(endpoint(1, 8080));
  pod.serve(service(1, 80), 1, {endpoint(1, 8080)});
  Fd client = tcp();
  REQUIRE(connect_to(client, service(1, 80)) == 0);
  const Fd server = accept_from(listener);
  pod.maps().set_enabled(false);
  CHECK(connect_to(tcp(), service(1, 80)) == ENETUNREACH);
  CHECK(pod.count(DIRECT_COUNT_OFF) == 1);
  talk(client, server);
  CHECK(peer_of(client) == service(1, 80));
  CHECK(pod.open(100) == 1);
  REQUIRE(disconnect(client) == 0);
  CHECK(connect_to(client, service(1, 80)) == ENETUNREACH);
  CHECK(mark_of(client) == 0);
  CHECK(pod.open(100) == 0);
  pod.maps().set_enabled(true);
  CHECK(connect_to(client, service(1, 80)) == 0);
}
