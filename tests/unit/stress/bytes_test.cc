// The stress tells where wrong bytes belong: each way in which a stream can go wrong, made by hand.
#include "stress/bytes.h"

#include <catch2/catch.hpp>

#include "stress/plan.h"

using namespace sockmesh::stress;

namespace {

constexpr uint64_t kLength = 100'000;
const Stream kOwn{key_of(1, 7, true), "own"};
const Stream kAnswer{key_of(1, 7, false), "the answer's"};

std::vector<std::byte> bytes(uint64_t key, uint64_t from, uint64_t to) {
  std::vector<std::byte> out(to - from);
  sockmesh::stress::fill(key, from, out);
  return out;
}

// Feeds pieces of streams, in reads of `read` bytes.
std::string verdict(const std::vector<std::vector<std::byte>>& pieces, size_t read, bool ended = true) {
  std::vector<std::byte> all;
  for (const auto& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
  Checker checker(kOwn, kLength);
  for (size_t at = 0; at < all.size(); at += read)
    checker.take(std::span(all).subspan(at, std::min(read, all.size() - at)),
                 [] { return std::vector{kAnswer}; });
  CHECK(checker.taken() == all.size());
  return checker.verdict(ended);
}

}  // namespace

TEST_CASE("a stream is the same in whatever pieces it is made and compared") {
  const auto whole = bytes(kOwn.key, 0, 5000);
  for (const uint64_t from : {0, 1, 7, 8, 9, 63, 64, 1000}) {
    for (const uint64_t length : {0, 1, 7, 8, 9, 15, 16, 17, 500, 521, 3000}) {
      const auto part = bytes(kOwn.key, from, from + length);
      CHECK(std::equal(part.begin(), part.end(), whole.begin() + static_cast<ptrdiff_t>(from)));
      CHECK(right_bytes(kOwn.key, from, part) == length);
    }
  }
}

TEST_CASE("the first wrong byte is found wherever it is") {
  for (const uint64_t from : {0, 3, 8}) {
    for (size_t wrong = 0; wrong < 1200; wrong += 1 + wrong / 50) {
      auto data = bytes(kOwn.key, from, from + 1200);
      data[wrong] ^= std::byte{0x10};
      CHECK(right_bytes(kOwn.key, from, data) == wrong);
    }
  }
}

TEST_CASE("bytes are found again in their stream, at any offset and alignment") {
  const std::vector<Stream> streams{kAnswer, kOwn};
  for (const uint64_t offset : {0ull, 1ull, 5ull, 8ull, 4711ull, 19'999'000ull}) {
    const auto data = bytes(kOwn.key, offset, offset + 40);
    const auto place = locate(data, streams, kLongest);
    REQUIRE(place);
    CHECK(place->stream->name == "own");
    CHECK(place->offset == offset);
  }
  CHECK_FALSE(locate(bytes(key_of(2, 7, true), 0, 40), streams, kLongest));
  CHECK_FALSE(locate(bytes(kOwn.key, 0, 15), streams, kLongest));
}

TEST_CASE("what went wrong is told in offsets of the stream") {
  const size_t read = GENERATE(1'000'000u, 4096u, 999u);
  const auto own = [](uint64_t from, uint64_t to) { return bytes(kOwn.key, from, to); };
  CAPTURE(read);
  CHECK(verdict({own(0, kLength)}, read) == "");
  CHECK(verdict({own(0, 40'000)}, read, false) == "");
  CHECK(verdict({own(0, 40'000)}, read) ==
        "a clean end at offset 40000 of 100000: the last 60000 bytes are missing");
  CHECK(verdict({own(0, kLength + 8)}, read) == "100008 bytes came, 100000 were sent");
  CHECK(verdict({own(0, 30'000), own(50'000, 60'000), own(30'000, 50'000), own(60'000, kLength)}, read) ==
        "100000 of 100000 bytes: at offset 30000 came 10000 bytes of offset 50000: 20000 bytes were "
        "overtaken or are "
        "missing; at offset 40000 came 20000 bytes of offset 30000: 10000 bytes late or a second time; at "
        "offset "
        "60000 came 40000 bytes that belong there; then its end");
  CHECK(verdict({own(0, 30'000), own(28'552, kLength)}, read) ==
        "101448 of 100000 bytes: at offset 30000 came 71448 bytes of offset 28552: 1448 bytes late or a "
        "second time; "
        "then its end");
  CHECK(verdict({own(0, 30'000), bytes(kAnswer.key, 800, 4000), own(30'000, 31'000)}, read, false) ==
        "34200 of 100000 bytes: at offset 30000 came 3200 bytes of the answer's (offset 800); at offset "
        "33200 came "
        "1000 bytes of offset 30000: 3200 bytes late or a second time; no end yet");
}

TEST_CASE("bytes of nobody are counted, and the stream is found again behind them") {
  std::vector<std::byte> noise(500, std::byte{0x55});
  const std::string told =
      verdict({bytes(kOwn.key, 0, 1000), noise, bytes(kOwn.key, 1000, 5000)}, 1'000'000, false);
  CHECK(told ==
        "5500 of 100000 bytes: at offset 1000 came 500 bytes of no flow that is open; at offset 1500 came "
        "4000 bytes "
        "of offset 1000: 500 bytes late or a second time; no end yet");
}
