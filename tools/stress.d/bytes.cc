#include "bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/arithmetic.h"

namespace sockmesh::stress {

namespace {

constexpr size_t kWord = sizeof(uint64_t);
constexpr uint64_t kStep = 0x9e3779b97f4a7c15;  // odd, so that it has an inverse

// Modulo 2^64 on purpose.
SOCKMESH_WRAPS constexpr uint64_t times(uint64_t a, uint64_t b) { return a * b; }
SOCKMESH_WRAPS constexpr uint64_t plus(uint64_t a, uint64_t b) { return a + b; }
SOCKMESH_WRAPS constexpr uint64_t minus(uint64_t a, uint64_t b) { return a - b; }

// By Newton: each round doubles the number of right bits, beginning with three.
constexpr uint64_t inverse(uint64_t odd) {
  uint64_t x = odd;
  for (int i = 0; i < 5; ++i) x = times(x, minus(2, times(odd, x)));
  return x;
}
constexpr uint64_t kStepInverse = inverse(kStep);
static_assert(times(kStep, kStepInverse) == 1);

uint64_t word_at(uint64_t key, uint64_t offset) { return plus(key, times(offset / kWord, kStep)); }

}  // namespace

void fill(uint64_t key, uint64_t offset, std::span<std::byte> out) {
  if (out.empty()) return;
  std::byte* at = out.data();
  size_t left = out.size();
  uint64_t word = word_at(key, offset);
  const size_t skip = offset % kWord;
  if (skip > 0) {
    const size_t part = std::min(kWord - skip, left);
    std::memcpy(at, reinterpret_cast<const char*>(&word) + skip, part);
    at += part;
    left -= part;
    word = plus(word, kStep);
  }
  for (; left >= kWord; left -= kWord, at += kWord, word = plus(word, kStep)) std::memcpy(at, &word, kWord);
  std::memcpy(at, &word, left);
}

size_t right_bytes(uint64_t key, uint64_t offset, std::span<const std::byte> data) {
  const size_t head = std::min<size_t>((kWord - offset % kWord) % kWord, data.size());
  const auto by_byte = [&](size_t from, size_t to) {
    std::array<std::byte, 64> wanted;
    while (from < to) {
      const size_t part = std::min(wanted.size(), to - from);
      fill(key, offset + from, std::span(wanted).first(part));
      const auto [have, want] =
          std::mismatch(data.begin() + static_cast<ptrdiff_t>(from),
                        data.begin() + static_cast<ptrdiff_t>(from + part), wanted.begin());
      if (have != data.begin() + static_cast<ptrdiff_t>(from + part))
        return static_cast<size_t>(have - data.begin());
      from += part;
    }
    return to;
  };
  if (const size_t right = by_byte(0, head); right < head) return right;
  const size_t words = (data.size() - head) / kWord;
  const std::byte* at = data.data() + head;
  uint64_t word = word_at(key, offset + head);
  for (size_t done = 0; done < words;) {
    const size_t block = std::min<size_t>(words - done, 64);
    uint64_t differs = 0;
    for (size_t i = 0; i < block; ++i, at += kWord, word = plus(word, kStep)) {
      uint64_t have;
      std::memcpy(&have, at, kWord);
      differs |= have ^ word;
    }
    if (differs != 0) return by_byte(head + done * kWord, head + (done + block) * kWord);
    done += block;
  }
  return by_byte(head + words * kWord, data.size());
}

std::optional<Place> locate(std::span<const std::byte> data, std::span<const Stream> streams,
                            uint64_t longest) {
  for (const Stream& stream : streams) {
    for (size_t skip = 0; skip < kWord && skip + 2 * kWord <= data.size(); ++skip) {
      uint64_t word;
      std::memcpy(&word, data.data() + skip, kWord);
      const uint64_t number = times(minus(word, stream.key), kStepInverse);
      if (number >= longest / kWord + 1 || number * kWord < skip) continue;
      const uint64_t offset = number * kWord - skip;
      if (right_bytes(stream.key, offset, data.first(skip + 2 * kWord)) == skip + 2 * kWord)
        return Place{&stream, offset};
    }
  }
  return std::nullopt;
}

Checker::Checker(Stream own, uint64_t length) : own_(std::move(own)), length_(length) {}

void Checker::add(uint64_t length, std::optional<Place> place) {
  if (length == 0) return;
  const bool goes_on = !kept_.empty() && kept_.size() == runs_ && !place && !kept_.back().place;
  if (goes_on) {
    kept_.back().length += length;
  } else {
    ++runs_;
    if (kept_.size() < kRunsKept) kept_.push_back({taken_, length, place});
  }
  taken_ += length;
}

// Follows each run of bytes as long as it goes, then looks for the next one.
void Checker::dissect(std::span<const std::byte> data) {
  while (!data.empty()) {
    size_t length = 0;
    std::optional<Place> place;
    // First where the last run would go on: a read may have cut it.
    if (!kept_.empty() && kept_.size() == runs_ && kept_.back().place) {
      Run& last = kept_.back();
      length = right_bytes(last.place->stream->key, last.place->offset + last.length, data);
      if (length > 0) {
        last.length += length;
        taken_ += length;
        data = data.subspan(length);
        continue;
      }
    }
    place = locate(data, streams_, UINT32_MAX);
    length = place ? right_bytes(place->stream->key, place->offset, data) : 1;
    add(length, place);
    data = data.subspan(length);
  }
}

std::string Checker::describe(const Run& run) const {
  const std::string what = fmt::format("at offset {} came {} bytes", run.at, run.length);
  if (!run.place) return what + " of no flow that is open";
  const uint64_t offset = run.place->offset;
  if (run.place->stream->name != own_.name)
    return fmt::format("{} of {} (offset {})", what, run.place->stream->name, offset);
  if (offset == run.at) return what + " that belong there";
  if (offset > run.at)
    return fmt::format("{} of offset {}: {} bytes were overtaken or are missing", what, offset,
                       offset - run.at);
  return fmt::format("{} of offset {}: {} bytes late or a second time", what, offset, run.at - offset);
}

std::string Checker::verdict(bool ended) const {
  if (wrong_) {
    std::string text = fmt::format("{} of {} bytes: ", taken_, length_);
    for (const Run& run : kept_) text += describe(run) + "; ";
    if (runs_ > kept_.size()) text += fmt::format("and {} runs more; ", runs_ - kept_.size());
    return text + (ended ? "then its end" : "no end yet");
  }
  if (taken_ > length_) return fmt::format("{} bytes came, {} were sent", taken_, length_);
  if (ended && taken_ < length_)
    return fmt::format("a clean end at offset {} of {}: the last {} bytes are missing", taken_, length_,
                       length_ - taken_);
  return "";
}

}  // namespace sockmesh::stress
