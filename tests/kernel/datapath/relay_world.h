// RelayWorld: workers as the agent has them, each a loop in a thread of its own with a DataPath, and flows
// through them whose two applications are in the test's hands:
//
//   client ---- downstream [relay] upstream ---- server
//
// Throws std::runtime_error where the machine does not play along. Use from one thread.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/mutex.h"
#include "bpf/splice_maps.h"
#include "datapath/data_path.h"

namespace sockmesh::test {

struct LaneSpec {
  std::string name;
  datapath::Mode mode;
  event::Backend backend;
};
// What this machine can run: epoll always, io_uring and the spliced lane where they work.
const std::vector<LaneSpec>& offered_lanes();
// Why it cannot run the others, "" when it runs all.
std::string missing_lanes();

// Every lane, over IPv4 and IPv6.
struct Cell {
  LaneSpec lane;
  bool ipv6;
};
std::vector<Cell> matrix();
std::string describe(const Cell& cell);

// The two connections of a flow, not yet relayed.
struct Legs {
  Fd client, server;
  datapath::Pair sockets;
};
Legs connect_legs(bool ipv6);

class RelayWorld {
 public:
  explicit RelayWorld(const LaneSpec& lane, size_t workers = 1);
  ~RelayWorld();  // resets what still runs

  size_t relay(datapath::Pair sockets,
               const datapath::RelayOptions& options = {});  // returns the flow's number
  // These run in the loop's thread and are waited for.
  datapath::Progress progress(size_t flow);
  void abort(size_t flow);
  void destroy(size_t flow);

  std::optional<datapath::Outcome> outcome(size_t flow);
  datapath::Outcome wait_for_outcome(size_t flow);
  int outcomes_told(size_t flow);
  datapath::LaneStats stats();  // of all workers
  void drop_capabilities();     // the workers', as the agent does

 private:
  struct Worker {
    std::unique_ptr<event::Loop> loop;
    std::unique_ptr<datapath::DataPath> path;
    std::map<size_t, std::unique_ptr<datapath::Relay>> relays;  // the loop's thread
    std::thread thread;
  };
  Worker& worker_of(size_t flow) { return *workers_[flow % workers_.size()]; }
  void run(Worker& worker, const std::function<void()>& work);

  std::unique_ptr<bpf::SpliceMaps> maps_;
  std::vector<std::unique_ptr<Worker>> workers_;
  size_t next_ = 0;
  Mutex mutex_;
  std::map<size_t, std::vector<datapath::Outcome>> outcomes_ SOCKMESH_GUARDED_BY(mutex_);
};

// A plain end of a stream, for tests that need no plan. Each waits as long as a slow machine needs.
void put(const Fd& fd, const std::string& text);  // requires that all of it is taken
bool wait_readable(const Fd& fd);
std::string get(const Fd& fd, size_t size);  // less when the stream ends before
enum class End { kFin, kRst, kNone };
std::ostream& operator<<(std::ostream& out, End end);
End wait_for_end(const Fd& fd);  // reads until the stream ends; how it ended
void reset_close(Fd& fd);        // with RST

// Open descriptors of this process.
size_t open_descriptors();

}  // namespace sockmesh::test
