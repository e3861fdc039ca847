#include "test_support/eventually.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace sockmesh::test {

std::chrono::milliseconds patient(std::chrono::milliseconds time) {
  static const double factor = [] {
    const char* text = std::getenv("SOCKMESH_TEST_SLOW");
    return std::max(1.0, text ? std::atof(text) : 1.0);
  }();
  return std::chrono::milliseconds(static_cast<int64_t>(static_cast<double>(time.count()) * factor));
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds deadline) {
  const auto end = std::chrono::steady_clock::now() + patient(deadline);
  std::chrono::milliseconds pause{1};
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds{50});
  }
  return true;
}

}  // namespace sockmesh::test
