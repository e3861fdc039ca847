// Lane 3 beside others: the pod's rules, and other programs on its cgroup.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "direct_pod.h"
#include "test_support/eventually.h"
#include "test_support/process.h"

using namespace sockmesh;
using namespace sockmesh::test;

namespace {

// A sockops program as another agent may have one: wants to be called at each RTT measurement, and counts.
class RttCounter {
 public:
  RttCounter() {
    LIBBPF_OPTS(bpf_map_create_opts, mapped, .map_flags = BPF_F_MMAPABLE);
    count_ = Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "rtt_count", 4, 8, 1, &mapped));
    const bpf_insn code[]{
        {BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, 0, 0},  // r2 = ops->op
        {BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 3, BPF_SOCK_OPS_TCP_CONNECT_CB},
        {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, BPF_SOCK_OPS_RTT_CB_FLAG},
        {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sock_ops_cb_flags_set},
        {BPF_JMP | BPF_JA, 0, 0, 5, 0},
        {BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 4, BPF_SOCK_OPS_RTT_CB},
        {BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, count_.get()},
        {0, 0, 0, 0, 0},
        {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 1},
        {BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_1, BPF_REG_2, 0, BPF_ADD},
        {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 1},
        {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
    };
    program_ =
        Fd(bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "rtt_counter", "GPL", code, std::size(code), nullptr));
    REQUIRE(program_);
  }
  void attach(const std::string& cgroup) {
    const Fd fd(open_folder(cgroup));
    link_ = Fd(bpf_link_create(program_.get(), fd.get(), BPF_CGROUP_SOCK_OPS, nullptr));
    REQUIRE(link_);
  }
  // As programs were attached of old: nobody else may.
  void attach_exclusively(const std::string& cgroup) {
    const Fd fd(open_folder(cgroup));
    REQUIRE(bpf_prog_attach(program_.get(), fd.get(), BPF_CGROUP_SOCK_OPS, 0) == 0);
  }
  uint64_t count() const {
    const __u32 zero = 0;
    uint64_t count = 0;
    REQUIRE(bpf_map_lookup_elem(count_.get(), &zero, &count) == 0);
    return count;
  }

 private:
  static Fd open_folder(const std::string& path);
  Fd count_, program_, link_;
};

Fd RttCounter::open_folder(const std::string& path) {
  FILE* folder = fopen(path.c_str(), "r");
  REQUIRE(folder);
  Fd fd(dup(fileno(folder)));
  (void)fclose(folder);
  return fd;
}

}  // namespace

TEST_CASE("marked connections pass the rules, and all others are redirected") {
  DirectPod pod;
  pod.netns().ip("route add 10.96.0.0/16 dev lo src 10.1.0.1\nroute add fd96::/16 dev lo src fd01::1");
  for (const bool ipv6 : {false, true}) {
    for (const std::vector<std::string>& rule :
         {std::vector<std::string>{"-m", "mark", "--mark", "0x20000000/0x20000000", "-j", "RETURN"},
          {"-p", "tcp", "-j", "REDIRECT", "--to-ports", "15001"}}) {
      std::vector<std::string> command{ipv6 ? "ip6tables" : "iptables", "-t", "nat", "-A", "OUTPUT"};
      command.insert(command.end(), rule.begin(), rule.end());
      must_run(command, &pod.netns());
    }
    const Fd listener = listen_at(endpoint(1, 8080, ipv6)), proxy = listen_at({IpAddress::any(ipv6), 15001});
    pod.serve(service(1, 80, ipv6), 1, {endpoint(1, 8080, ipv6)});
    for (const bool direct : {true, false, true}) {
      pod.maps().set_enabled(direct);
      const Fd client = tcp(ipv6);
      REQUIRE(connect_to(client, service(1, 80, ipv6)) == 0);
      const Fd server = accept_from(direct ? listener : proxy);
      send_all(client, 1);
      CHECK(receive(server, 1) == 1);
      CHECK(peer_of(client) == service(1, 80, ipv6));
      CHECK(local_of(server).port == (direct ? 8080 : 15001));
    }
    // A socket that was direct is redirected when it connects to what has no entry.
    const Fd again = tcp(ipv6);
    REQUIRE(connect_to(again, service(1, 80, ipv6)) == 0);
    (void)accept_from(listener);
    REQUIRE(disconnect(again) == 0);
    REQUIRE(connect_to(again, service(2, 80, ipv6)) == 0);
    CHECK(local_of(accept_from(proxy)).port == 15001);
  }
}

TEST_CASE("another program's callbacks go on") {
  DirectPod pod;
  // In a cgroup below the pod's: its programs run first, and ours must not undo what they set.
  const std::string inner = pod.cgroup().path() + "/inner";
  REQUIRE(mkdir(inner.c_str(), 0755) == 0);
  {
    RttCounter other;
    other.attach(inner);
    for (const bool ipv6 : {false, true}) {
      const Fd listener = listen_at(endpoint(1, 8080, ipv6));
      pod.serve(service(1, 80, ipv6), 1, {endpoint(1, 8080, ipv6)});
      FILE* processes = fopen((inner + "/cgroup.procs").c_str(), "w");
      REQUIRE(processes);
      (void)fputs("0", processes);
      REQUIRE(fclose(processes) == 0);
      const Fd client = tcp(ipv6);
      pod.cgroup().enter();
      REQUIRE(connect_to(client, service(1, 80, ipv6)) == 0);
      const Fd server = accept_from(listener);
      const uint64_t before = other.count();
      for (int i = 0; i < 10; ++i) {
        send_all(client, 1);
        CHECK(receive(server, 1) == 1);
        send_all(server, 1);
        CHECK(receive(client, 1) == 1);
      }
      CHECK(other.count() > before);
      CHECK(pod.open(100) == 1);
      REQUIRE(disconnect(client) == 0);
      CHECK(pod.open(100) == 0);  // and ours came too
    }
  }
  REQUIRE(rmdir(inner.c_str()) == 0);
}

TEST_CASE("where another program is attached exclusively, attaching fails and says so") {
  const Cgroup cgroup;
  RttCounter other;
  other.attach_exclusively(cgroup.path());
  auto maps = bpf::DirectMaps::open({});
  REQUIRE(maps);
  const auto attached = (*maps)->attach(cgroup.path());
  REQUIRE(!attached);
  CHECK(attached.error().message ==
        "attaching link_sockops to " + cgroup.path() +
            ": Operation not permitted: expected CAP_NET_ADMIN, and no other program that "
            "is attached there exclusively");
  CHECK(!(*maps)->attached());
}
