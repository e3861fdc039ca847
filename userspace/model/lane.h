// Lane: the ways in which the bytes of a flow can move (docs/decisions/003-lane-choice.md). The name is the
// one that flows, status, log and metrics show. Pure, any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sockmesh::model {

enum class Lane : uint8_t {
  kEpoll,    // lane 0: copied by the agent
  kIoUring,  // lane 0 likewise
  kSkSkb,    // lane 1: redirected by the kernel between the agent's own two sockets
  kSkMsg,    // lane 2: between the sockets of two applications; no agent has it yet
  kDirect,   // lane 3: the application's own connection; its bytes pass nobody
};
inline constexpr std::array kLanes{Lane::kEpoll, Lane::kIoUring, Lane::kSkSkb, Lane::kSkMsg, Lane::kDirect};
const char* to_string(Lane lane);  // "epoll", "io_uring", "sk_skb", "sk_msg", "direct"

// One value a lane.
template <typename T>
class PerLane {
 public:
  T& operator[](Lane lane) { return values_[static_cast<size_t>(lane)]; }
  const T& operator[](Lane lane) const { return values_[static_cast<size_t>(lane)]; }
  auto begin() { return values_.begin(); }
  auto end() { return values_.end(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::array<T, kLanes.size()> values_{};
};

// Of a flow, as its client sees it: `received` from the downstream, `sent` to it.
struct Bytes {
  uint64_t received = 0, sent = 0;

  Bytes& operator+=(const Bytes& other) {
    received += other.received;
    sent += other.sent;
    return *this;
  }
  uint64_t both() const { return received + sent; }
};

// By the lane that moved them.
class BytesByLane : public PerLane<Bytes> {
 public:
  BytesByLane& operator+=(const BytesByLane& other) {
    for (const Lane lane : kLanes) (*this)[lane] += other[lane];
    return *this;
  }
  Bytes total() const {
    Bytes sum;
    for (const Bytes& one : *this) sum += one;
    return sum;
  }
};

}  // namespace sockmesh::model
