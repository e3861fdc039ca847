// Time: the monotonic clock for durations, the wall clock for what people read.
#pragma once

#include <chrono>

namespace sockmesh {

using MonotonicTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;
using Duration = std::chrono::nanoseconds;

inline MonotonicTime monotonic_now() { return std::chrono::steady_clock::now(); }
inline WallTime wall_now() { return std::chrono::system_clock::now(); }

}  // namespace sockmesh
