// FNV-1a, 64 bits: a name for a text, the same in every process. Whoever chooses the text can make two that
// collide.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/arithmetic.h"

namespace sockmesh {

class Fnv1a {
 public:
  SOCKMESH_WRAPS void add(uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3ull; }
  void add(std::string_view text) {
    for (const char c : text) add(static_cast<uint8_t>(c));
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325ull;
};

inline uint64_t fnv1a(std::string_view text) {
  Fnv1a hash;
  hash.add(text);
  return hash.value();
}

}  // namespace sockmesh
