// Side: which of a flow's two sockets, and so which of its two directions, named by the side its bytes come
// from. Pure, any thread.
#pragma once

#include <cstdint>

namespace sockmesh::bpf {

enum class Side : uint8_t { kDownstream = 0, kUpstream = 1 };
constexpr Side other(Side side) { return side == Side::kDownstream ? Side::kUpstream : Side::kDownstream; }

}  // namespace sockmesh::bpf
