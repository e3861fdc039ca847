// The bytes of the streams, made so that a wrong one tells where it belongs: word number n of a stream (eight
// bytes, at offset 8n) is key + n * step, modulo 2^64. Eight bytes of it give n back, so that bytes which
// come at the wrong place are found again in their own stream or in another flow's. Making and comparing them
// costs an addition a word, which is next to nothing beside copying them. Pure, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sockmesh::stress {

void fill(uint64_t key, uint64_t offset, std::span<std::byte> out);
// How many bytes of `data` are those of the stream from `offset` on.
size_t right_bytes(uint64_t key, uint64_t offset, std::span<const std::byte> data);

// A stream whose bytes may turn up: its key and how it is called.
struct Stream {
  uint64_t key;
  std::string name;
};
struct Place {
  const Stream* stream;
  uint64_t offset;
};
// Where the first bytes of `data` belong: an offset below `longest` in one of the streams. Nothing when less
// than two whole words agree.
std::optional<Place> locate(std::span<const std::byte> data, std::span<const Stream> streams,
                            uint64_t longest);

// Compares a stream with what arrives of it, and tells what was wrong in terms of its offsets.
class Checker {
 public:
  // `own` is the stream that is expected, `length` its planned length.
  Checker(Stream own, uint64_t length);

  // `others`, asked for once something is wrong, are the streams whose bytes might have come instead.
  template <typename Others>
  void take(std::span<const std::byte> data, const Others& others) {
    const size_t right = wrong_ ? 0 : right_bytes(own_.key, taken_, data);
    taken_ += right;
    if (right == data.size()) return;
    if (!wrong_) {
      streams_ = others();
      streams_.insert(streams_.begin(), own_);
      wrong_ = true;
    }
    dissect(data.subspan(right));
  }

  uint64_t taken() const { return taken_; }
  bool right() const { return !wrong_ && taken_ <= length_; }
  // "" when what came so far is the beginning of the stream, or all of it when `ended`.
  std::string verdict(bool ended) const;

 private:
  struct Run {  // bytes that belong together
    uint64_t at, length;
    std::optional<Place> place;  // none: found nowhere
  };
  static constexpr size_t kRunsKept = 12;

  void dissect(std::span<const std::byte> data);
  void add(uint64_t length, std::optional<Place> place);
  std::string describe(const Run& run) const;

  Stream own_;
  uint64_t length_;
  uint64_t taken_ = 0;
  bool wrong_ = false;
  std::vector<Stream> streams_;  // of which runs point to elements
  std::vector<Run> kept_;        // since the first wrong byte
  size_t runs_ = 0;              // of which kRunsKept are kept
};

}  // namespace sockmesh::stress
