#include "datapath/user_flow.h"

#include <utility>

#include "base/tcp_socket.h"
#include "datapath/flow_sockets.h"
#include "datapath/socket_bounds.h"

namespace sockmesh::datapath {

UserFlow::UserFlow(event::Loop& loop, LateResets& late, Pair sockets, const RelayOptions& options, Lane lane,
                   Done done)
    : loop_(loop),
      late_resets_(late),
      sockets_{event::WatchedFd(std::move(sockets.downstream)),
               event::WatchedFd(std::move(sockets.upstream))},
      done_(std::move(done)) {
  progress_.lane = lane;
  for (const event::WatchedFd& one : sockets_) {
    send_small_writes_at_once(one.get());
    bound_queues(one.get());
    reset_on_close(one.get());  // until the flow has ended in order: this process may die
  }
  timers_.emplace(loop, options, [this](CloseReason reason) { expired(reason); });
}

UserFlow::~UserFlow() {
  if (destroyed_) *destroyed_ = true;
}

void UserFlow::stop_watching() {
  for (event::WatchedFd& one : sockets_) one.unwatch();
}

Progress UserFlow::progress() const {
  Progress progress = progress_;
  progress.downstream_closed = ends_.ended(Side::kDownstream);
  progress.upstream_closed = ends_.ended(Side::kUpstream);
  return progress;
}

void UserFlow::received(Side from, size_t bytes) {
  if (from == Side::kDownstream) progress_.moved[progress_.lane].received += bytes;
  if (timers_) timers_->active();
}

void UserFlow::sent(Side to, size_t bytes) {
  if (to == Side::kDownstream) progress_.moved[progress_.lane].sent += bytes;
  if (timers_) timers_->active();
}

bool UserFlow::refuse_hand_over() {
  const auto taken = std::exchange(taken_, nullptr);
  if (!taken) return true;
  bool destroyed = false;
  destroyed_ = &destroyed;
  taken(std::nullopt);
  if (destroyed) return false;
  destroyed_ = nullptr;
  return true;
}

void UserFlow::hand_over_now() {
  stop_timers();
  const auto taken = std::exchange(taken_, nullptr);
  Pair sockets{socket(Side::kDownstream).release(), socket(Side::kUpstream).release()};
  taken(Handover{.sockets = std::move(sockets), .moved = progress_.moved});
}

void UserFlow::tell_outcome() {
  stop_timers();
  Outcome outcome{.reason = ends_.reason(), .progress = progress(), .detail = ends_.error()};
  for (const Side side : {Side::kDownstream, Side::kUpstream})
    close_as(socket(side).release(), ends_.closing(side), late_resets_);

  if (!refuse_hand_over()) return;
  if (const auto done = std::exchange(done_, nullptr)) done(outcome);
}

}  // namespace sockmesh::datapath
