#include "test_support/pattern.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace sockmesh::test {
namespace {

constexpr size_t kWord = sizeof(uint64_t);

}  // namespace

void fill_pattern(uint64_t id, uint64_t offset, std::span<std::byte> out) {
  uint64_t word = offset / kWord;
  size_t skip = offset % kWord;
  while (!out.empty()) {
    const uint64_t value = mix(id ^ mix(word++));
    const size_t length = std::min(kWord - skip, out.size());
    std::memcpy(out.data(), reinterpret_cast<const char*>(&value) + skip, length);
    out = out.subspan(length);
    skip = 0;
  }
}

std::optional<size_t> first_mismatch(uint64_t id, uint64_t offset, std::span<const std::byte> data) {
  std::array<std::byte, 4096> expected;
  for (size_t done = 0; done < data.size();) {
    const size_t length = std::min(expected.size(), data.size() - done);
    fill_pattern(id, offset + done, std::span(expected).first(length));
    const auto part = data.subspan(done, length);
    const auto [wrong, ignored] = std::mismatch(part.begin(), part.end(), expected.begin());
    if (wrong != part.end()) return done + static_cast<size_t>(wrong - part.begin());
    done += length;
  }
  return std::nullopt;
}

}  // namespace sockmesh::test
