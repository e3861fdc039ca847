// SockmapWorld: one worker with lane 1 and a loop running in a thread of its own, and flows through it whose
// two applications are in the test's hands:
//
//   client ---- downstream [relay] upstream ---- server
//
// Throws std::runtime_error where the machine does not play along. Use from one thread.
#pragma once

#include <future>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "base/fd.h"
#include "base/mutex.h"
#include "datapath/sockmap_relay.h"
#include "test_support/streams.h"

namespace sockmesh::test {

class SockmapWorld {
 public:
  struct Options {
    bpf::SpliceMaps::Options maps;
    event::Backend backend = event::Backend::kEpoll;
    datapath::SockmapLimits limits;
    bpf::SpliceMaps* shared = nullptr;  // another world's, which must outlive this one; instead of `maps`
  };
  SockmapWorld() : SockmapWorld(Options{}) {}
  explicit SockmapWorld(const Options& options);
  ~SockmapWorld();  // resets what still runs

  bpf::SpliceMaps& maps() { return maps_; }
  datapath::SockmapLane& lane() { return *lane_; }

  struct Ends {
    Fd client, server;
    size_t flow;  // names it below
  };
  // The two connections, not yet relayed.
  struct Legs {
    Fd client, server;
    datapath::Pair sockets;
  };
  static Legs connect(bool ipv6 = false);
  Ends open(bool ipv6 = false, datapath::SpliceWish wish = datapath::SpliceWish::kAlways,
            const datapath::RelayOptions& options = {});
  size_t relay(datapath::Pair sockets, datapath::SpliceWish wish, const datapath::RelayOptions& options = {});

  // In the loop's thread; waits for it.
  void run(const std::function<void()>& work);
  // `first` runs right before, in the same turn.
  datapath::Progress progress(size_t flow, const std::function<void()>& first = {});
  void abort(size_t flow);
  void destroy(size_t flow);

  std::optional<datapath::Outcome> outcome(size_t flow);
  datapath::Outcome wait_for_outcome(size_t flow);  // throws if it does not end
  size_t running();

 private:
  std::unique_ptr<bpf::SpliceMaps> own_maps_;
  bpf::SpliceMaps& maps_;
  std::unique_ptr<event::Loop> loop_;
  std::unique_ptr<datapath::SockmapLane> lane_;
  std::thread thread_;

  // the loop's thread
  std::map<size_t, std::unique_ptr<datapath::Relay>> relays_;

  size_t next_ = 0;
  Mutex mutex_;
  std::map<size_t, datapath::Outcome> outcomes_ SOCKMESH_GUARDED_BY(mutex_);
};

// As run_ends, and asks `until` every few milliseconds also while nothing moves.
std::string drive(std::span<StreamEnd* const> ends, std::chrono::milliseconds deadline,
                  const std::function<bool()>& until);

// Sends `text` one way and requires that it gets there.
void say(const Fd& from, const Fd& to, std::string_view text);
bool was_reset(const Fd& socket);  // waits for what comes from the peer

}  // namespace sockmesh::test
