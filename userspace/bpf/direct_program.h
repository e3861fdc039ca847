// DirectProgram: bpf/direct.bpf.c, loaded, pinned if a folder is given, and attached to a pod's cgroup. The
// only place that knows the skeleton. Thread rule: load and attach from one thread; then the descriptors may
// be used from any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace sockmesh::bpf {

class DirectProgram {
 public:
  // Entries there is room for in one configuration; the maps hold two. Memory is taken as they fill, but for
  // the hashes' tables (32 bytes an entry of room) and the live records (16 bytes each): 7 MiB with these.
  struct Sizes {
    uint32_t destinations = 32768;  // addresses with ports; 10,000 Services of three ports
    uint32_t prefixes = 8192;
    uint32_t routes = 32768;
    uint32_t clusters = 32768;
    uint32_t hosts = 65536;         // of all clusters together
    uint32_t live = 131072;         // hosts and clusters, and those of open flows that are no more
    uint32_t event_bytes = 262144;  // a power of two, of pages; an event is 200 bytes: some 1300
  };

  // With a folder of bpffs (made if its parent is there): maps that are pinned there are taken over with
  // their own sizes, and new ones are pinned. Another layout, or a part of the pins, is an error. Without
  // ("") everything is gone with this. Needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and, to take over links,
  // CAP_SYS_ADMIN in the initial user namespace.
  // `stall`, at most kLongestStall, is how long connect() rests between two lookups: for tests alone.
  static Result<DirectProgram> load(const Sizes& sizes, const std::string& folder, Duration stall);
  static constexpr Duration kLongestStall = std::chrono::milliseconds(1);
  DirectProgram(DirectProgram&&) noexcept;
  DirectProgram& operator=(DirectProgram&&) noexcept;
  ~DirectProgram();  // closes all descriptors; what is pinned goes on

  bool adopted() const;  // the maps were there

  // Attaches what is not attached, and replaces an earlier process's programs, each in one step: no connect()
  // sees none. So it is also the way to repair what somebody detached. The cgroup is a folder of cgroup v2;
  // its processes' sockets that are made from now on, and older ones', are concerned.
  Result<void> attach(const std::string& cgroup);
  // Whether all programs are still attached: anybody with the right privileges can detach them.
  bool attached() const;

  int control_fd() const;
  int destinations_fd() const;
  int prefixes_fd() const;
  int routes_fd() const;
  int clusters_fd() const;
  int hosts_fd() const;
  int live_fd() const;
  int events_fd() const;      // the ring buffer
  int open_flows_fd() const;  // link of the iterator, for bpf_iter_create()

 private:
  struct Skeleton;
  explicit DirectProgram(std::unique_ptr<Skeleton> skeleton);
  std::unique_ptr<Skeleton> skeleton_;
};

}  // namespace sockmesh::bpf
