#include "datapath/late_resets.h"

#include <algorithm>
#include <utility>

#include "base/tcp_socket.h"
#include "datapath/flow_sockets.h"

namespace sockmesh::datapath {

namespace {

// Nobody tells when the last byte was acknowledged.
constexpr Duration kPeriod = std::chrono::milliseconds(5);

}  // namespace

LateResets::LateResets(event::Loop& loop, const Limits& limits)
    : loop_(loop), limits_(limits), timer_(loop.timer([this] {
        std::erase_if(waiting_, [this](Waiting& one) { return done(one); });
        if (!waiting_.empty()) timer_->set(kPeriod);
      })) {}

LateResets::~LateResets() {
  for (const Waiting& one : waiting_) give_up(one);
}

void LateResets::close(Fd socket, bool complete) {
  reset_on_close(socket.get());
  const int pending = unacknowledged(socket.get()).value_or(0);
  if (pending <= 0) return;
  Waiting one{std::move(socket), complete, pending, loop_.now(), loop_.now()};
  if (waiting_.size() >= limits_.sockets) return give_up(one);
  if (waiting_.empty()) timer_->set(kPeriod);
  waiting_.push_back(std::move(one));
}

void LateResets::give_up(const Waiting& one) {
  if (one.complete) reset_on_close(one.socket.get(), false);
}

bool LateResets::done(Waiting& one) const {
  const int pending = unacknowledged(one.socket.get()).value_or(0);
  const MonotonicTime now = loop_.now();
  if (pending != one.pending) one.progress = now;
  one.pending = pending;
  if (pending <= 0 || closed_by_tcp(one.socket.get())) return true;
  if (now - one.progress < limits_.without_progress && now - one.since < limits_.in_all) return false;
  give_up(one);
  return true;
}

}  // namespace sockmesh::datapath
