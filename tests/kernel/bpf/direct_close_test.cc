// How direct flows end: bytes as the applications counted them, who closed first, and live counts that are
// even again. One case for each row of what the kernel does.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <map>
#include <thread>

#include "bpf/direct_record.h"
#include "direct_pod.h"
#include "test_support/descriptors.h"
#include "test_support/eventually.h"
#include "test_support/fork.h"

using namespace sockmesh;
using namespace sockmesh::test;
using bpf::DirectEnd;

namespace {

// A flow through a service, and what its ends counted.
struct Flow {
  Fd client, server;
  uint64_t cookie = 0;
  uint64_t up = 0, down = 0;  // read at the other end

  void send_up(size_t bytes) { move(client, server, bytes, up); }
  void send_down(size_t bytes) { move(server, client, bytes, down); }

 private:
  static void move(const Fd& from, const Fd& to, size_t bytes, uint64_t& count) {
    std::thread sender([&] { send_all(from, bytes); });
    count += receive(to, bytes);
    sender.join();
  }
};

class ClosingPod : public DirectPod {
 public:
  explicit ClosingPod(bpf::DirectMaps::Options options = {}) : DirectPod(std::move(options)) {
    for (const bool ipv6 : {false, true}) {
      listener_[ipv6] = listen_at(endpoint(1, 8080, ipv6), 2000);
      serve(service(1, 80, ipv6), ipv6 ? 2 : 1, {endpoint(1, 8080, ipv6)});
    }
  }

  Flow open_flow(bool ipv6) {
    Flow flow;
    flow.client = tcp(ipv6);
    flow.cookie = cookie_of(flow.client);
    REQUIRE(connect_to(flow.client, service(1, 80, ipv6)) == 0);
    flow.server = accept_from(listener_[ipv6]);
    flow.send_up(100'000);
    flow.send_down(300'000);
    return flow;
  }

  // The end of the flow, with the bytes that its ends counted.
  void expect(const Flow& flow, DirectEnd end, uint32_t error = 0) {
    const direct_record ended = event(DIRECT_ENDED, flow.cookie);
    CHECK(bpf::to_string(bpf::end_of(ended)) == bpf::to_string(end));
    CHECK(ended.reading.error == error);
    CHECK(bpf::sent_bytes(ended) == flow.up);
    CHECK(bpf::acked_bytes(ended) == flow.up);
    CHECK(bpf::received_bytes(ended) == flow.down);
    CHECK(ended.reading.now_ns >= ended.flow.established_ns);
    CHECK(event(DIRECT_OPENED, flow.cookie).flow.established_ns == ended.flow.established_ns);
    CHECK(all_open() == 0);
  }

  const Fd& listener(bool ipv6) const { return listener_.at(ipv6); }

 private:
  std::map<bool, Fd> listener_;
};

}  // namespace

TEST_CASE("the bytes of every ending are the application's") {
  ClosingPod pod;
  for (const bool ipv6 : {false, true}) {
    INFO((ipv6 ? "IPv6" : "IPv4"));
    SECTION(ipv6 ? "client closes first, IPv6" : "client closes first") {
      Flow flow = pod.open_flow(ipv6);
      flow.client.reset();
      receive_end(flow.server);
      flow.server.reset();
      pod.expect(flow, DirectEnd::kClient);
    }
    SECTION(ipv6 ? "server closes first, IPv6" : "server closes first") {
      Flow flow = pod.open_flow(ipv6);
      flow.server.reset();
      receive_end(flow.client);
      flow.client.reset();
      pod.expect(flow, DirectEnd::kServer);
    }
    SECTION(ipv6 ? "client half-closes and waits, IPv6" : "client half-closes and waits") {
      Flow flow = pod.open_flow(ipv6);
      shutdown(flow.client.get(), SHUT_WR);
      receive_end(flow.server);
      flow.send_down(50'000);
      flow.server.reset();
      receive_end(flow.client);
      pod.expect(flow, DirectEnd::kClient);
    }
    SECTION(ipv6 ? "client half-closes, then closes, IPv6" : "client half-closes, then closes") {
      Flow flow = pod.open_flow(ipv6);
      shutdown(flow.client.get(), SHUT_WR);
      receive_end(flow.server);
      flow.send_down(50'000);
      CHECK(pod.open(ipv6 ? 200 : 100) == 1);
      flow.client.reset();  // FIN_WAIT2 again, then TIME_WAIT at once
      pod.expect(flow, DirectEnd::kClient);
      flow.server.reset();
    }
    SECTION(ipv6 ? "server resets, IPv6" : "server resets") {
      Flow flow = pod.open_flow(ipv6);
      reset_on_close(flow.server);
      flow.server.reset();
      pod.expect(flow, DirectEnd::kReset, ECONNRESET);
    }
    SECTION(ipv6 ? "client resets, IPv6" : "client resets") {
      Flow flow = pod.open_flow(ipv6);
      reset_on_close(flow.client);
      flow.client.reset();
      pod.expect(flow, DirectEnd::kAborted);
    }
    SECTION(ipv6 ? "client closes with unread data, IPv6" : "client closes with unread data") {
      Flow flow = pod.open_flow(ipv6);
      send_all(flow.server, 1000);
      flow.down += 1000;
      pollfd ready{flow.client.get(), POLLIN, 0};
      REQUIRE(poll(&ready, 1, 10'000) == 1);
      flow.client.reset();
      pod.expect(flow, DirectEnd::kAborted);
    }
    SECTION(ipv6 ? "client disconnects, IPv6" : "client disconnects") {
      Flow flow = pod.open_flow(ipv6);
      REQUIRE(disconnect(flow.client) == 0);
      pod.expect(flow, DirectEnd::kDisconnected);
    }
    SECTION(ipv6 ? "the socket is killed, IPv6" : "the socket is killed") {
      Flow flow = pod.open_flow(ipv6);
      const std::string real = endpoint(1, 8080, ipv6).ip.to_string();
      must_run({"ss", "-K", "dst", ipv6 ? "[" + real + "]" : real, "dport", "=", ":8080"}, &pod.netns());
      pod.expect(flow, DirectEnd::kKilled, ECONNABORTED);
    }
    // On the wire, or before it: a segment that the local rules drop was never sent, though TCP counts it.
    for (const std::string chain : {"INPUT", "OUTPUT"}) {
      SECTION(chain + (ipv6 ? " drops it all, IPv6" : " drops it all")) {
        Flow flow = pod.open_flow(ipv6);
        set_option(flow.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 300);
        must_run({ipv6 ? "ip6tables" : "iptables", "-A", chain, "-p", "tcp", "-j", "DROP"}, &pod.netns());
        send_all(flow.client, 10);
        const direct_record ended = pod.event(DIRECT_ENDED, flow.cookie);
        CHECK(bpf::end_of(ended) == DirectEnd::kTimeout);
        CHECK(bpf::sent_bytes(ended) == flow.up + (chain == "INPUT" ? 10 : 0));
        CHECK(bpf::acked_bytes(ended) == flow.up);
        CHECK(bpf::received_bytes(ended) == flow.down);
        CHECK(pod.all_open() == 0);
      }
    }
  }
}

TEST_CASE("what a reset takes away was not acknowledged") {
  ClosingPod pod;
  for (const bool ipv6 : {false, true}) {
    Flow flow = pod.open_flow(ipv6);
    // The server does not read: the client's queue fills.
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const std::string piece(65536, 'x');
    uint64_t written = flow.up;
    for (ssize_t sent; (sent = send(flow.client.get(), piece.data(), piece.size(), flags)) > 0;)
      written += static_cast<uint64_t>(sent);
    reset_on_close(flow.client);
    flow.client.reset();
    const direct_record ended = pod.event(DIRECT_ENDED, flow.cookie);
    CHECK(bpf::end_of(ended) == DirectEnd::kAborted);
    CHECK(bpf::sent_bytes(ended) <= written);
    CHECK(bpf::acked_bytes(ended) <= bpf::sent_bytes(ended));
    // What the server's kernel acknowledged is what its application could still have read.
    CHECK(bpf::acked_bytes(ended) >= flow.up);
    CHECK(bpf::received_bytes(ended) == flow.down);
    CHECK(pod.all_open() == 0);
  }
}

TEST_CASE("counts are even again after every way to end") {
  ClosingPod pod;
  pod.add_hole();
  for (const bool ipv6 : {false, true}) {
    const SocketAddress lost = service(2, 80, ipv6);
    pod.serve(lost, 3, {endpoint(9, 1, ipv6)});
    for (const bool dies : {false, true}) {  // the application closes, or dies, in SYN_SENT
      Fork child([&](int tell) {
        Fd client = tcp(ipv6, false);
        const uint64_t own = cookie_of(client);
        if (connect_to(client, lost) != EINPROGRESS) return;
        (void)!write(tell, &own, sizeof own);
        if (dies) pause();
        client.reset();
        pause();
      });
      const auto cookie = child.hear_value<uint64_t>();
      if (dies) {
        CHECK(pod.open(300) == 1);
        child.die();
      }
      const direct_record failed = pod.event(DIRECT_FAILED, cookie);
      CHECK(failed.reading.error == 0);
      CHECK(failed.reading.shutdown == 3);
      CHECK(pod.all_open() == 0);
    }
    // It dies with an open flow.
    Fork child([&](int tell) {
      const Fd client = tcp(ipv6);
      const uint64_t own = cookie_of(client);
      if (connect_to(client, service(1, 80, ipv6)) != 0) return;
      (void)!write(tell, &own, sizeof own);
      pause();
    });
    const auto cookie = child.hear_value<uint64_t>();
    Fd server = accept_from(pod.listener(ipv6));
    CHECK(pod.open(ipv6 ? 200 : 100) == 1);
    child.die();
    receive_end(server);
    server.reset();
    CHECK(bpf::end_of(pod.event(DIRECT_ENDED, cookie)) == DirectEnd::kClient);
    CHECK(pod.all_open() == 0);
  }
}

TEST_CASE("a flow outlives its cgroup, and is counted and told of to its end") {
  for (const bool ipv6 : {false, true}) {
    ClosingPod pod;
    Flow flow = pod.open_flow(ipv6);
    Cgroup::leave();  // the socket stays what it was
    flow.send_up(1000);
    CHECK(eventually([&] { return rmdir(pod.cgroup().path().c_str()) == 0; }));
    flow.send_down(1000);
    CHECK(peer_of(flow.client) == service(1, 80, ipv6));
    CHECK(pod.open(ipv6 ? 200 : 100) == 1);
    flow.server.reset();
    receive_end(flow.client);
    flow.client.reset();
    pod.expect(flow, DirectEnd::kServer);
  }
}

TEST_CASE("a connect() that finds no port is not counted") {
  ClosingPod pod;
  pod.netns().set_sysctl("net/ipv4/ip_local_port_range", "40000 40003");
  for (const bool ipv6 : {false, true}) {
    // A socket whose callbacks are on, since it was connected before.
    const Fd used = tcp(ipv6);
    REQUIRE(connect_to(used, service(1, 80, ipv6)) == 0);
    reset_on_close(accept_from(pod.listener(ipv6)));
    REQUIRE(disconnect(used) == 0);
    EVENTUALLY(pod.all_open() == 0);
    std::vector<Fd> flows;
    for (int i = 0; i < 8; ++i) {
      Fd client = tcp(ipv6);
      if (connect_to(client, service(1, 80, ipv6)) == 0) flows.push_back(std::move(client));
    }
    const auto made = static_cast<int32_t>(flows.size());
    CHECK(made > 0);
    CHECK(made < 8);
    CHECK(pod.open(ipv6 ? 200 : 100) == made);
    CHECK(connect_to(used, service(1, 80, ipv6)) == EADDRNOTAVAIL);
    CHECK(pod.open(ipv6 ? 200 : 100) == made);
    for (const Fd& flow : flows) reset_on_close(flow);
    flows.clear();
    EVENTUALLY(pod.all_open() == 0);
    for (const direct_record& record : pod.records()) CHECK(record.kind != DIRECT_FAILED);
    while (true) {
      pollfd waiting{pod.listener(ipv6).get(), POLLIN, 0};
      if (poll(&waiting, 1, 0) != 1) break;
      accept_from(pod.listener(ipv6)).reset();
    }
  }
}

TEST_CASE("a thousand flows at once leave no count behind") {
  ClosingPod pod;
  allow_descriptors(8192);
  for (const bool ipv6 : {false, true}) {
    std::vector<Fd> clients, servers;
    for (int i = 0; i < 1000; ++i) {
      clients.push_back(tcp(ipv6, false));
      const int error = connect_to(clients.back(), service(1, 80, ipv6));
      REQUIRE((error == 0 || error == EINPROGRESS));
    }
    for (int i = 0; i < 1000; ++i) servers.push_back(accept_from(pod.listener(ipv6)));
    EVENTUALLY(pod.open(ipv6 ? 200 : 100) == 1000);
    CHECK(pod.open(ipv6 ? 201 : 101) == 1000);
    CHECK(pod.open_flows().size() == 1000);
    // From two threads at once, so that both ends race.
    std::thread closer([&] { servers.clear(); });
    clients.clear();
    closer.join();
    EVENTUALLY(pod.all_open() == 0);
    EVENTUALLY(pod.open_flows().empty());
  }
  CHECK(pod.count(DIRECT_COUNT_RECOUNTED) == 0);
}

TEST_CASE("events that do not fit are counted, and looking finds the flows") {
  bpf::DirectMaps::Options options;
  options.sizes.event_bytes = 4096;
  ClosingPod pod(options);
  std::vector<Flow> flows;
  for (int i = 0; i < 30; ++i) flows.push_back(pod.open_flow(i % 2 == 1));
  CHECK(pod.count(DIRECT_COUNT_LOST) > 0);
  const uint64_t told = pod.records().size();
  CHECK(told + pod.count(DIRECT_COUNT_LOST) == 30);
  CHECK(pod.losses() == 1);
  std::map<uint64_t, direct_record> seen;
  for (const direct_record& record : pod.open_flows()) seen[record.flow.cookie] = record;
  CHECK(seen.size() == 30);
  for (const Flow& flow : flows) {
    REQUIRE(seen.contains(flow.cookie));
    CHECK(bpf::sent_bytes(seen[flow.cookie]) == flow.up);
  }
  flows.clear();
  EVENTUALLY(pod.all_open() == 0);  // though not all their ends were told
  EVENTUALLY(pod.open_flows().empty());
}

TEST_CASE("open flows of all namespaces are seen, with their bytes") {
  ClosingPod pod;
  for (const bool ipv6 : {false, true}) {
    const Flow flow = pod.open_flow(ipv6);
    const Fd connecting = tcp(ipv6), closed = tcp(ipv6);
    REQUIRE(connect_to(closed, service(1, 80, ipv6)) == 0);
    REQUIRE(disconnect(closed) == 0);  // has its storage, and is nobody's flow
    accept_from(pod.listener(ipv6)).reset();
    std::vector<direct_record> seen;
    // By somebody who is elsewhere.
    const Netns elsewhere("elsewhere");
    elsewhere.run([&] { seen = pod.open_flows(); });
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].kind == DIRECT_SEEN);
    CHECK(seen[0].flow.cookie == flow.cookie);
    CHECK(bpf::end_of(seen[0]) == DirectEnd::kOpen);
    CHECK(bpf::sent_bytes(seen[0]) == flow.up);
    CHECK(bpf::acked_bytes(seen[0]) == flow.up);
    CHECK(bpf::received_bytes(seen[0]) == flow.down);
    CHECK(bpf::from_kernel(seen[0].flow.asked) == service(1, 80, ipv6));
    CHECK(bpf::from_kernel(seen[0].reading.remote) == endpoint(1, 8080, ipv6));
    CHECK(bpf::from_kernel(seen[0].reading.local) == local_of(flow.client));
    CHECK(seen[0].reading.srtt_us > 0);
    // A half-closed one is still there.
    shutdown(flow.client.get(), SHUT_WR);
    receive_end(flow.server);
    EVENTUALLY(pod.open_flows().at(0).reading.state == TCP_FIN_WAIT2);
    const auto half = pod.open_flows().at(0);
    CHECK(bpf::end_of(half) == DirectEnd::kClient);
    CHECK(bpf::acked_bytes(half) == flow.up);
  }
}
