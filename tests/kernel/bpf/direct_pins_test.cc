// Lane 3 outlives the process that loaded it, is taken over by the next, and can be removed without a trace.
#include "bpf/direct_pins.h"

#include <bpf/bpf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "bpf/direct_record.h"
#include "direct_pod.h"
#include "test_support/eventually.h"
#include "test_support/fork.h"
#include "test_support/temp_dir.h"

using namespace sockmesh;
using namespace sockmesh::test;
using bpf::DirectMaps;
using bpf::DirectTable;

namespace {

// Both families' service 1 leads to endpoint 1, port 8080.
DirectTable mesh() {
  DirectTable table;
  for (const bool ipv6 : {false, true}) {
    const uint32_t number = ipv6 ? 2 : 1;
    table.destinations[service(1, 80, ipv6)] = {.kind = DIRECT_ROUTE, .route = number};
    table.routes[number] = {{{number, 1}}};
    table.clusters[number] = {.hosts = {{endpoint(1, 8080, ipv6), 3, 100 * number + 1}},
                              .live = 100 * number};
  }
  return table;
}

DirectMaps::Options pinned_in(const BpfFolder& folder) {
  DirectMaps::Options options;
  options.folder = folder.pod();
  return options;
}

std::unique_ptr<DirectMaps> must_open(const DirectMaps::Options& options) {
  auto maps = DirectMaps::open(options);
  if (!maps) throw std::runtime_error(maps.error().message);
  return std::move(*maps);
}

std::string refusal(const DirectMaps::Options& options) {
  const auto maps = DirectMaps::open(options);
  return maps ? "" : maps.error().message;
}

// The pod without its lane: that is another process's, or comes later.
struct BarePod {
  BpfFolder folder;
  Cgroup cgroup;
  PodNamespace netns;
  Fd listener[2]{listen_at(endpoint(1, 8080)), listen_at(endpoint(1, 8080, true))};

  BarePod() { cgroup.enter(); }
  // Loads, attaches and fills, as an agent does.
  std::unique_ptr<DirectMaps> start_agent() {
    auto maps = must_open(pinned_in(folder));
    REQUIRE(maps->attach(cgroup.path()));
    REQUIRE(maps->apply(bpf::difference(maps->table().value(), mesh()), 7));
    return maps;
  }
  Fd connect(bool ipv6) const {
    Fd client = tcp(ipv6);
    REQUIRE(connect_to(client, service(1, 80, ipv6)) == 0);
    CHECK(peer_of(client) == service(1, 80, ipv6));
    return client;
  }
  int attempt(bool ipv6) const { return connect_to(tcp(ipv6), service(1, 80, ipv6)); }
};

// What this process has of lane 3, by the kernel's ids.
std::set<std::string> bpf_objects() {
  std::set<std::string> ids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);)
      for (const char* what : {"map_id:", "prog_id:", "link_id:"})
        if (line.rfind(what, 0) == 0) ids.insert(line);
  }
  return ids;
}

bool exists(const std::string& object) {
  const auto id = static_cast<__u32>(std::stoul(object.substr(object.find('\t') + 1)));
  const Fd fd(object.starts_with("map")    ? bpf_map_get_fd_by_id(id)
              : object.starts_with("prog") ? bpf_prog_get_fd_by_id(id)
                                           : bpf_link_get_fd_by_id(id));
  return static_cast<bool>(fd);
}

void write_layout(const BpfFolder& folder, __u32 layout) {
  const Fd control(bpf_obj_get(bpf::direct_pin(folder.pod(), "control").c_str()));
  const __u32 zero = 0;
  direct_control block{};
  REQUIRE(bpf_map_lookup_elem(control.get(), &zero, &block) == 0);
  block.layout = layout;
  REQUIRE(bpf_map_update_elem(control.get(), &zero, &block, BPF_ANY) == 0);
}

}  // namespace

TEST_CASE("a loader that is killed leaves a lane that works, and the next one takes it over") {
  BarePod pod;
  Fork first([&](int tell) {
    auto maps = must_open(pinned_in(pod.folder));
    if (maps->adopted() || !maps->attach(pod.cgroup.path()) || !maps->apply(bpf::difference({}, mesh()), 7))
      return;
    (void)!write(tell, "x", 1);
    pause();
  });
  REQUIRE(first.hear(1) == "x");
  Fd before = pod.connect(false);
  first.die();

  // Nobody is there. Open flows go on, and new ones come and go.
  send_all(before, 100);
  const Fd server = accept_from(pod.listener[0]);
  CHECK(receive(server, 100) == 100);
  const Fd meanwhile = pod.connect(true);
  Fd gone = pod.connect(true);
  const uint64_t gone_cookie = cookie_of(gone);
  reset_on_close(gone);
  gone.reset();

  // Connections are made all the time while the next agent replaces the programs; none of them slips through.
  std::atomic<bool> done = false;
  std::atomic<uint64_t> made = 0, slipped = 0;
  std::thread busy([&] {
    while (!done) {
      const Fd client = tcp();
      if (connect_to(client, service(1, 80)) != 0) ++slipped;
      reset_on_close(client);
      ++made;
      reset_on_close(accept_from(pod.listener[0]));
    }
  });
  EVENTUALLY(made > 100);
  auto maps = must_open(pinned_in(pod.folder));
  CHECK(maps->adopted());
  CHECK(!maps->attached());
  REQUIRE(maps->attach(pod.cgroup.path()));
  CHECK(maps->attached());
  const uint64_t then = made;
  EVENTUALLY(made > then + 100);
  done = true;
  busy.join();
  CHECK(slipped == 0);

  CHECK(maps->generation() == 7);
  CHECK(maps->table().value() == mesh());
  CHECK(maps->enabled());
  CHECK(maps->live(100).open == 1);
  CHECK(maps->live(200).open == 1);
  CHECK(maps->live(200).drawn == 0);
  CHECK(maps->live(201).drawn == 2);
  std::set<uint64_t> open;
  const auto seen = maps->open_flows();
  REQUIRE(seen);
  for (const direct_record& record : *seen) open.insert(record.flow.cookie);
  CHECK(open == std::set{cookie_of(before), cookie_of(meanwhile)});
  // What happened while nobody was there is in the ring.
  bool told = false;
  auto events = bpf::DirectEvents::open(
      *maps,
      [&](const direct_record& record) {
        told |= record.kind == DIRECT_ENDED && record.flow.cookie == gone_cookie;
      },
      [] {});
  REQUIRE(events);
  (*events)->consume();
  CHECK(told);

  // And it has the say from now on.
  CHECK(peer_of(before) == service(1, 80));
  before.reset();
  EVENTUALLY(maps->live(100).open == 0);
  bpf::DirectChange change;
  change.destinations[service(1, 80)] = bpf::DirectVerdict{.kind = DIRECT_REFUSE, .error = EPERM};
  REQUIRE(maps->apply(change, 8));
  CHECK(pod.attempt(false) == EPERM);
  REQUIRE(bpf::remove_direct_pins(pod.folder.pod()));
}

TEST_CASE("a side that was left half-written is made whole") {
  BarePod pod;
  pod.start_agent().reset();
  // As if it had been killed in the middle of a change of everything.
  {
    const auto open = [&](const char* name) {
      return Fd(bpf_obj_get(bpf::direct_pin(pod.folder.pod(), name).c_str()));
    };
    const __u32 zero = 0;
    direct_control control{};
    REQUIRE(bpf_map_lookup_elem(open("control").get(), &zero, &control) == 0);
    const __u32 side = 1 - control.active;
    const direct_destination lost = bpf::to_kernel(service(9, 80), side),
                             wrong = bpf::to_kernel(service(1, 80), side);
    const direct_verdict refuse{DIRECT_REFUSE, EPERM, 0};
    const direct_prefix prefix =
        bpf::to_kernel(bpf::DirectPrefix{Prefix::parse("0.0.0.0/0").value(), 0}, side);
    const direct_host_key orphan{side, 77, 5};
    const direct_number number{side, 1};
    const direct_host host{};
    REQUIRE(bpf_map_update_elem(open("destinations").get(), &lost, &refuse, BPF_ANY) == 0);
    REQUIRE(bpf_map_update_elem(open("destinations").get(), &wrong, &refuse, BPF_ANY) == 0);
    REQUIRE(bpf_map_update_elem(open("prefixes").get(), &prefix, &refuse, BPF_ANY) == 0);
    REQUIRE(bpf_map_update_elem(open("hosts").get(), &orphan, &host, BPF_ANY) == 0);
    (void)bpf_map_delete_elem(open("routes").get(), &number);
    (void)bpf_map_delete_elem(open("clusters").get(), &number);
  }
  auto maps = must_open(pinned_in(pod.folder));
  const auto hosts_there = [&] {
    const Fd hosts(bpf_obj_get(bpf::direct_pin(pod.folder.pod(), "hosts").c_str()));
    direct_host_key key{}, next{};
    int found = 0;
    for (const direct_host_key* last = nullptr; bpf_map_get_next_key(hosts.get(), last, &next) == 0;
         last = &key) {
      key = next;
      ++found;
    }
    return found;
  };
  CHECK(hosts_there() == 4);  // two clusters of one host, on both sides
  CHECK(maps->table().value() == mesh());
  REQUIRE(maps->apply({}, 8));  // the other side is in force now
  CHECK(maps->table().value() == mesh());
  CHECK(maps->generation() == 8);
  REQUIRE(maps->attach(pod.cgroup.path()));
  (void)pod.connect(false);
  (void)pod.connect(true);
  REQUIRE(bpf::remove_direct_pins(pod.folder.pod()));
}

TEST_CASE("another layout is left alone, and the error says which") {
  BarePod pod;
  pod.start_agent().reset();
  write_layout(pod.folder, DIRECT_LAYOUT + 1);
  const std::string said = refusal(pinned_in(pod.folder));
  CHECK(said ==
        fmt::format(
            "{}/control: layout {} of {} bytes: expected layout {} of {}; another version pinned it, and "
            "has to remove it",
            pod.folder.pod(), DIRECT_LAYOUT + 1, sizeof(direct_control), DIRECT_LAYOUT,
            sizeof(direct_control)));
  CHECK(!bpf::switch_pinned_direct(pod.folder.pod(), true));
  // Its programs find another layout than they know and lead nothing.
  CHECK(pod.attempt(false) == ENETUNREACH);
  write_layout(pod.folder, DIRECT_LAYOUT);
  CHECK(must_open(pinned_in(pod.folder))->table().value() == mesh());
  (void)pod.connect(true);
  // Removing works whatever the layout is.
  write_layout(pod.folder, DIRECT_LAYOUT + 1);
  REQUIRE(bpf::remove_direct_pins(pod.folder.pod()));
  CHECK(!std::filesystem::exists(pod.folder.pod()));
}

TEST_CASE("pins of a process that was killed while it made them are made anew") {
  BarePod pod;
  pod.start_agent().reset();
  for (const char* name : {"control", "live", "flows"})
    unlink(bpf::direct_pin(pod.folder.pod(), name).c_str());
  auto maps = must_open(pinned_in(pod.folder));
  CHECK(!maps->adopted());
  CHECK(maps->table().value() == DirectTable{});
  // The old programs are gone with their links.
  CHECK(pod.attempt(false) == ENETUNREACH);
  REQUIRE(maps->attach(pod.cgroup.path()));
  REQUIRE(maps->apply(bpf::difference({}, mesh()), 1));
  (void)pod.connect(false);
  maps.reset();
  // With the control block there, a missing map is no beginning.
  unlink(bpf::direct_pin(pod.folder.pod(), "live").c_str());
  const std::string said = refusal(pinned_in(pod.folder));
  CHECK(said == pod.folder.pod() + "/live: expected beside control: No such file or directory");
  REQUIRE(bpf::remove_direct_pins(pod.folder.pod()));
}

TEST_CASE("what somebody detached is noticed, and attached again") {
  BarePod pod;
  auto maps = pod.start_agent();
  for (const char* name : bpf::kLinkPins) {
    const Fd link(bpf_obj_get(bpf::direct_pin(pod.folder.pod(), name).c_str()));
    REQUIRE(link);
    REQUIRE(bpf_link_detach(link.get()) == 0);
    CHECK(!maps->attached());
    REQUIRE(maps->attach(pod.cgroup.path()));
    CHECK(maps->attached());
  }
  (void)pod.connect(false);
  (void)pod.connect(true);
  EVENTUALLY(maps->live(100).open == 0);
  REQUIRE(bpf::remove_direct_pins(pod.folder.pod()));
}

TEST_CASE("the kill switch works from outside, and stays as it is when the lane is taken over") {
  BarePod pod;
  auto maps = pod.start_agent();
  REQUIRE(bpf::switch_pinned_direct(pod.folder.pod(), false));
  CHECK(!maps->enabled());
  CHECK(pod.attempt(false) == ENETUNREACH);
  maps.reset();
  maps = must_open(pinned_in(pod.folder));
  CHECK(!maps->enabled());
  CHECK(pod.attempt(true) == ENETUNREACH);
  REQUIRE(bpf::switch_pinned_direct(pod.folder.pod(), true));
  (void)pod.connect(true);
  REQUIRE(bpf::remove_direct_pins(pod.folder.pod()));
  const auto switched = bpf::switch_pinned_direct(pod.folder.pod(), true);
  REQUIRE(!switched);
  CHECK(switched.error().message == pod.folder.pod() + ": no control block: expected the pins of lane 3");
}

TEST_CASE("cleaning up leaves no program, link, map or file") {
  BarePod pod;
  auto maps = pod.start_agent();
  const auto objects = bpf_objects();
  CHECK(objects.size() >= 6 + 6 + 9);  // programs, links, maps
  for (const std::string& object : objects) CHECK(exists(object));
  Fd client = pod.connect(false);
  const Fd server = accept_from(pod.listener[0]);
  REQUIRE(bpf::remove_direct_pins(pod.folder.pod()));
  CHECK(!std::filesystem::exists(pod.folder.pod()));
  // Although an agent still has everything open.
  CHECK(!maps->attached());
  CHECK(pod.attempt(false) == ENETUNREACH);
  send_all(client, 10);
  CHECK(receive(server, 10) == 10);
  CHECK(peer_of(client) == endpoint(1, 8080));
  maps.reset();
  EVENTUALLY([&] { return std::none_of(objects.begin(), objects.end(), exists); }());
  REQUIRE(bpf::remove_direct_pins(pod.folder.pod()));  // nothing there is no error
}

TEST_CASE("without a folder everything goes with the process") {
  BarePod pod;
  std::set<std::string> objects;
  {
    auto maps = must_open({});
    REQUIRE(maps->attach(pod.cgroup.path()));
    REQUIRE(maps->apply(bpf::difference({}, mesh()), 1));
    (void)pod.connect(false);
    objects = bpf_objects();
  }
  CHECK(pod.attempt(false) == ENETUNREACH);
  EVENTUALLY([&] { return std::none_of(objects.begin(), objects.end(), exists); }());
}

TEST_CASE("mistakes are told with what was expected") {
  BarePod pod;
  const TempDir plain;
  DirectMaps::Options options;
  options.folder = plain.file("pod");
  const std::string no_bpffs = ": expected a folder of a BPF file system (mount -t bpf)";
  CHECK(refusal(options) == plain.file("pod") + no_bpffs);
  CHECK(!std::filesystem::exists(options.folder));
  plain.write("hosts", "127.0.0.1 localhost");
  options.folder = plain.path();
  CHECK(refusal(options) == plain.path() + no_bpffs);
  CHECK(bpf::remove_direct_pins(plain.path()).error().message == plain.path() + no_bpffs);
  CHECK(read_text(plain.file("hosts")) == "127.0.0.1 localhost");
  options.folder = "";
  options.mark = 0x1;
  options.mark_mask = 0x2;
  CHECK(refusal(options) == "mark 0x1 with mask 0x2: expected a bit that the rules can see");

  auto maps = must_open(pinned_in(pod.folder));
  const auto elsewhere = maps->attach(plain.path());
  REQUIRE(!elsewhere);
  CHECK(elsewhere.error().message == "attaching link_sockops to " + plain.path() +
                                         ": Bad file descriptor: expected a folder of cgroup v2");
  REQUIRE(maps->attach(pod.cgroup.path()));
  maps.reset();
  const Cgroup other;
  maps = must_open(pinned_in(pod.folder));
  const auto wrong = maps->attach(other.path());
  REQUIRE(!wrong);
  INFO(wrong.error().message);
  CHECK(wrong.error().message.find("one folder of pins is for one pod") != std::string::npos);
  REQUIRE(bpf::remove_direct_pins(pod.folder.pod()));
}

TEST_CASE("once loaded and attached, lane 3 works without any privilege") {
  BarePod pod;
  Fork child([&](int tell) {
    const auto body = [&]() -> Result<void> {
      auto maps = must_open({});
      SOCKMESH_CHECK(maps->attach(pod.cgroup.path()));
      if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
        return fail("cannot drop privileges");
      SOCKMESH_CHECK(maps->apply(bpf::difference({}, mesh()), 1));
      SOCKMESH_CHECK(maps->settle());
      const Fd client = tcp();  // and marks a socket of an application that may not
      if (const int error = connect_to(client, service(1, 80))) return fail(os_error("connect", error));
      SOCKMESH_TRY(flows, maps->open_flows());
      SOCKMESH_TRY(table, maps->table());
      auto events = bpf::DirectEvents::open(
          *maps, [](const direct_record&) {}, [] {});
      if (!events) return fail(events.error());
      if (flows.size() != 1 || table != mesh() || mark_of(client) == 0) return fail("wrong");
      return {};
    };
    const auto done = body();
    const std::string said = done ? "fine" : done.error().message;
    (void)!write(tell, said.data(), said.size());
  });
  CHECK(child.hear_all() == "fine");
}
