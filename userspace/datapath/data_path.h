// DataPath: one worker's choice of lanes. Made once per worker from the mode a person asked for and what the
// start-up self-test found; hands out relays. Thread: that of its loop, except stats() and
// set_spliced_lanes(), which any thread may call.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "datapath/relay.h"
#include "event/loop.h"

namespace sockmesh::bpf {
class SpliceMaps;  // bpf/splice_maps.h: the process-wide objects of lane 1
}

namespace sockmesh::datapath {

enum class Mode : uint8_t { kAuto, kSockmap, kIoUring, kEpoll };
std::optional<Mode> parse_mode(std::string_view text);  // "auto", "sockmap", "io_uring", "epoll"
const char* to_string(Mode mode);

struct LaneStats {  // totals since start of this worker
  uint64_t flows_total = 0, flows_active = 0;
  uint64_t spliced_total = 0, spliced_active = 0;  // flows that reached lane 1
  uint64_t splice_refused = 0;                     // insertion failed or came too late: stayed in lane 0
  uint64_t user_bytes = 0, spliced_bytes = 0;      // of ended flows
  uint64_t watchdog_resets = 0;                    // docs/sockmap.md#the-safety-net

  LaneStats& operator+=(const LaneStats& other) {
    flows_total += other.flows_total;
    flows_active += other.flows_active;
    spliced_total += other.spliced_total;
    spliced_active += other.spliced_active;
    splice_refused += other.splice_refused;
    user_bytes += other.user_bytes;
    spliced_bytes += other.spliced_bytes;
    watchdog_resets += other.watchdog_resets;
    return *this;
  }
};

class DataPath {
 public:
  // `splice` may be null: no lane 1, and `splice_unavailable` says why ("self-test 4 failed: ..."). It must
  // outlive the DataPath. Lane 0 follows the loop's backend.
  static std::unique_ptr<DataPath> create(event::Loop& loop, Mode mode, bpf::SpliceMaps* splice,
                                          std::string splice_unavailable);
  virtual ~DataPath() = default;

  virtual std::unique_ptr<Relay> relay(Pair sockets, const RelayOptions& options, Done done) = 0;
  virtual LaneStats stats() const = 0;
  virtual void set_spliced_lanes(
      bool enabled) = 0;  // the run-time switch: false keeps new and open flows in lane 0
};

}  // namespace sockmesh::datapath
