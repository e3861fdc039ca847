// DataPath: one worker's choice of lanes. Made once per worker from the mode a person asked for and what the
// start-up self-test found; hands out relays. Thread: that of its loop, except stats() and
// set_enabled(), which any thread may call.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "datapath/lane_counters.h"
#include "datapath/relay.h"
#include "event/loop.h"

namespace sockmesh::bpf {
class SpliceMaps;  // bpf/splice_maps.h: the process-wide objects of lane 1
}

namespace sockmesh::datapath {

enum class Mode : uint8_t { kAuto, kSockmap, kIoUring, kEpoll };
std::optional<Mode> parse_mode(std::string_view text);  // "auto", "sockmap", "io_uring", "epoll"
const char* to_string(Mode mode);

class DataPath {
 public:
  // `splice` may be null: no lane 1, and `splice_unavailable` says why ("self-test 4 failed: ..."). It must
  // outlive the DataPath. Lane 0 follows the loop's backend.
  static std::unique_ptr<DataPath> create(event::Loop& loop, Mode mode, bpf::SpliceMaps* splice,
                                          const std::string& splice_unavailable);
  virtual ~DataPath() = default;

  virtual std::unique_ptr<Relay> relay(Pair sockets, const RelayOptions& options, Done done) = 0;
  virtual LaneStats stats() const = 0;
  // The run-time switch of a lane that can be switched: false keeps new and open flows out of it.
  virtual void set_enabled(Lane lane, bool enabled) = 0;
};

}  // namespace sockmesh::datapath
