// Whether the test, and the programs that were built with it, run under a sanitizer: then memory is not what
// it would be.
#pragma once

namespace sockmesh::test {

constexpr bool sanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // g++
  return true;
#elif defined(__has_feature)  // clang
  return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
  return false;
#endif
}

}  // namespace sockmesh::test
