// Waiting for a condition instead of a time. Deadlines are generous, since a test that passes never uses
// them, and are multiplied by SOCKMESH_TEST_SLOW (a number) on slow machines. Any thread.
#pragma once

#include <chrono>
#include <functional>

namespace sockmesh::test {

// `time`, multiplied by SOCKMESH_TEST_SLOW.
std::chrono::milliseconds patient(std::chrono::milliseconds time);

// Asks every few milliseconds until `condition` holds; false if it does not within patient(deadline).
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds deadline = std::chrono::seconds(10));

}  // namespace sockmesh::test

// Waits for the expression to hold, then requires it, so that a failure shows the values it was made of.
#define EVENTUALLY(...)                                                                           \
  do {                                                                                            \
    (void)::sockmesh::test::eventually([&]() -> bool { return static_cast<bool>(__VA_ARGS__); }); \
    REQUIRE(__VA_ARGS__);                                                                         \
  } while (false)
