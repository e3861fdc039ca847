// DirectMaps: lane 3 of one pod: its programs, the decisions in force, live counts, the kill switch, and what
// the kernel knows of open flows. Events come through DirectEvents.
//
// A change of the decisions is seen by a connect() as a whole or not at all. They exist twice: a change is
// written to the side that is not in force, then one word names that side, and from this moment on the change
// is in force. The other side learns of it when no program runs on it any more (settle()). So what an apply()
// costs depends on the change, not on the mesh.
//
// Thread rule: apply(), settle(), table(), attach() and open_flows() from one thread; the rest from any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "bpf/direct_program.h"
#include "bpf/direct_table.h"
#include "intf/direct.h"

namespace sockmesh::bpf {

class DirectMaps {
 public:
  struct Options {
    DirectProgram::Sizes sizes;
    std::string folder;  // of pins; "": everything is gone with this process
    // The bits of a direct socket's mark that the rules let pass. Never all of them: other agents use some.
    uint32_t mark = 0x20000000;
    uint32_t mark_mask = 0x20000000;
    // Whose sockets are left alone, as the initial user namespace numbers them.
    std::optional<uint32_t> proxy_uid = 1337;
    std::optional<uint32_t> proxy_gid = 1337;
    Duration stall{};  // for tests
  };
  // Loads, and takes over what an earlier process pinned: decisions, counts, open flows, unread events. New
  // maps have no decisions: everything goes to the proxy. The kill switch of adopted ones stays as it is.
  static Result<std::unique_ptr<DirectMaps>> open(const Options& options);
  ~DirectMaps();
  DirectMaps(const DirectMaps&) = delete;
  DirectMaps& operator=(const DirectMaps&) = delete;

  bool adopted() const { return program_.adopted(); }
  Result<void> attach(const std::string& cgroup) { return program_.attach(cgroup); }
  bool attached() const { return program_.attached(); }

  // In force when this returns; on an error nothing has changed. The generation is the caller's name for the
  // configuration that results, and comes back with each flow. A map that is full is an error: the caller
  // leaves entries out, and what is not there goes to the proxy.
  Result<void> apply(const DirectChange& change, uint64_t generation);
  // Makes the other side equal. Waits for a grace period of the kernel, milliseconds; apply() does it first
  // when nobody has, so call it after each apply(), once its answer has been passed on.
  Result<void> settle();

  Result<DirectTable> table() const;  // in force, read back from the kernel
  uint64_t generation() const;        // of the decisions in force; 0: there are none

  // Of a host or a cluster; zeros if there is no such record.
  direct_live live(uint32_t number) const;
  // The connections of a host or a cluster that the proxy carries. None after open().
  void set_proxied(uint32_t number, uint32_t count);
  uint32_t live_records() const { return live_records_; }

  // All flows that are open or being made, with what the kernel knows of each (DIRECT_SEEN), in all network
  // namespaces. What a lost event would have told.
  Result<std::vector<direct_record>> open_flows() const;

  void set_enabled(bool enabled);  // off: new connections go to the proxy, open flows go on
  bool enabled() const;
  uint64_t count(direct_count what) const;

  // Of kernel memory, if all maps were full; the storage of open flows comes on top, 256 bytes each.
  uint64_t bytes_at_most() const { return bytes_at_most_; }

  int events_fd() const { return program_.events_fd(); }

 private:
  explicit DirectMaps(DirectProgram program) : program_(std::move(program)) {}
  Result<void> map_memory();
  Result<void> make_barrier();
  Result<void> add_up_memory();
  Result<void> wait_for_programs() const;
  Result<void> write(const DirectChange& change, uint32_t side) const;
  Result<void> set_cluster(uint32_t number, const std::optional<DirectCluster>& cluster, uint32_t side) const;
  Result<DirectTable> read(uint32_t side) const;
  Result<void> copy_active() const;
  uint32_t active() const;

  DirectProgram program_;
  direct_control* control_ = nullptr;  // shared with the kernel
  direct_live* live_ = nullptr;        // live_records_ of them, shared
  uint32_t live_records_ = 0;
  uint64_t bytes_at_most_ = 0;
  Fd barrier_, barrier_content_;
  std::optional<DirectChange> unsettled_;  // in force, and missing on the other side
  bool torn_ = false;                      // the other side is not to be relied on
};

// What a direct_count is called where people read it, and in metrics: "missed", "max-connections".
std::string_view to_string(direct_count what);

}  // namespace sockmesh::bpf
