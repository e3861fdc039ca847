// One flow's two records in shared memory.
#include "bpf/splice_pair.h"

#include <sys/socket.h>

#include <atomic>
#include <cerrno>

#include "base/arithmetic.h"
#include "base/disturb.h"
#include "base/tcp_socket.h"

namespace sockmesh::bpf {

namespace {

Result<uint64_t> cookie_of(int socket) {
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return fail(os_error("SO_COOKIE"));
  return cookie;
}

template <typename T>
T load(T& shared) {
  return std::atomic_ref(shared).load();
}

}  // namespace

SplicePair::SplicePair(SpliceMaps& maps, Half downstream, Half upstream)
    : maps_(&maps), sides_{downstream, upstream} {}

SplicePair::SplicePair(SplicePair&& from) noexcept
    : maps_(std::exchange(from.maps_, nullptr)), sides_(from.sides_), armed_(from.armed_) {}

SplicePair::~SplicePair() {
  if (!maps_) return;
  disarm();
  for (const Half& half : sides_) maps_->release(half.slot);
}

Result<SplicePair> SplicePair::prepare(SpliceMaps& maps, int downstream, int upstream, uint32_t ring) {
  SOCKMESH_TRY(down_cookie, cookie_of(downstream));
  SOCKMESH_TRY(up_cookie, cookie_of(upstream));
  SOCKMESH_TRY(down_placed, PlacedSince::now(downstream));
  disturb("prepare");
  SOCKMESH_TRY(up_placed, PlacedSince::now(upstream));
  SOCKMESH_TRY(down, maps.claim(down_cookie));
  auto up = maps.claim(up_cookie);
  if (!up) {
    maps.release(down);
    return fail(std::move(up).error());
  }
  down.record->target = up->index;
  up->record->target = down.index;
  down.record->ring = up->record->ring = ring;
  reset_on_close(downstream);
  reset_on_close(upstream);
  return SplicePair(maps, {down, downstream, down_placed}, {*up, upstream, up_placed});
}

Result<void> SplicePair::insert(Side side) {
  Half& half = sides_[index(side)];
  SOCKMESH_CHECK(maps_->insert(half.slot, half.socket));
  half.inserted = true;
  return {};
}

void SplicePair::write_words() {
  for (Half& half : sides_)
    std::atomic_ref(half.slot.record->user_word).store(half.consumed | (armed_ ? SPLICE_ARMED : 0));
}

void SplicePair::arm() {
  armed_ = true;
  write_words();
}

void SplicePair::disarm() {
  armed_ = false;
  write_words();
}

Result<void> SplicePair::kick(Side from) const {
  char byte;
  if (recv(sides_[index(from)].socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno != EAGAIN)
    return fail(os_error("receiving"));
  return {};
}

DirectionCounters SplicePair::counters(Side from) const {
  splice_direction& record = *sides_[index(from)].slot.record;
  const uint64_t redirected = load(record.redirected);
  disturb("counters");
  return {redirected, load(record.passed)};
}

bool SplicePair::broken(Side from) const {
  return load(sides_[index(from)].slot.record->state) & SPLICE_BROKEN;
}

splice_reason SplicePair::pass_reason(Side from) const {
  return static_cast<splice_reason>(load(sides_[index(from)].slot.record->pass_reason));
}

bool SplicePair::urgent(Side from) const {
  return load(sides_[index(from)].slot.record->state) & SPLICE_URGENT;
}

SOCKMESH_WRAPS std::optional<uint32_t> SplicePair::urgent_after(Side from, uint64_t taken) const {
  splice_direction& record = *sides_[index(from)].slot.record;
  if (!(load(record.state) & SPLICE_URGENT_AT)) return std::nullopt;
  return load(record.urgent_at) - static_cast<uint32_t>(taken);
}

uint64_t SplicePair::publish(Side from, uint64_t bytes) {
  Half& half = sides_[index(from)];
  half.consumed += bytes;
  disturb("publish");
  splice_direction& record = *half.slot.record;
  // A full barrier between this store and the load: the verdict stores `passed` and then looks at the word,
  // so at least one of the two sees the other (splice.bpf.c, pass()).
  std::atomic_ref(record.user_word).exchange(half.consumed | (armed_ ? SPLICE_ARMED : 0));
  disturb("published");
  return load(record.passed);
}

Result<uint64_t> SplicePair::placed(Side from) const { return sides_[index(other(from))].placed.at_least(); }

Result<bool> SplicePair::drained(Side from) const {
  const Half& half = sides_[index(from)];
  const uint64_t wanted = load(half.slot.record->redirected) + half.consumed;
  disturb("drained");
  SOCKMESH_TRY(there, placed(from));
  return there >= wanted;
}

}  // namespace sockmesh::bpf
