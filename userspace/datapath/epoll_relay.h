// Lane 0 over epoll: bytes go through one buffer of the thread, and only what a slow reader did not take is
// kept with the flow. A direction that keeps bytes is not read, which is its back-pressure. Thread: the
// loop's.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "datapath/user_flow.h"

namespace sockmesh::datapath {

class EpollRelay final : public UserRelay, private UserFlow {
 public:
  EpollRelay(event::Loop& loop, LateResets& late, Pair sockets, const RelayOptions& options, Done done);

  Progress progress() override { return UserFlow::progress(); }
  void abort() override;
  void hand_over(std::function<void(std::optional<Handover>)> taken) override;

 private:
  // Bytes of one direction that its reader did not take yet: less than one read.
  class Pending {
   public:
    bool empty() const { return begin_ == bytes_.size(); }
    void keep(const std::byte* data, size_t size) { bytes_.assign(data, data + size); }
    const std::byte* data() const { return bytes_.data() + begin_; }
    size_t size() const { return bytes_.size() - begin_; }
    void drop(size_t count);

   private:
    std::vector<std::byte> bytes_;
    size_t begin_ = 0;
  };
  // What moving bytes of a direction came to: nothing more for now, or an error on one side.
  struct Moved {
    std::optional<Side> failed;
    int error = 0;
  };

  void expired(CloseReason reason) override;
  void ready(Side side, uint32_t events);
  void move(Side from);
  Moved flush(Side from);
  Moved copy(Side from);
  void fail(Side side, int error);
  void settle();
  void conclude();
  void update_watch(Side side);

  Pending& pending(Side from) { return pending_[index(from)]; }
  bool holding() const { return !pending_[0].empty() || !pending_[1].empty(); }

  const size_t read_limit_;
  std::array<Pending, 2> pending_;  // by the side the bytes came from
  std::array<uint32_t, 2> wanted_{};
  std::array<bool, 2> broken_{};
  std::unique_ptr<event::Timer> soon_;
};

}  // namespace sockmesh::datapath
