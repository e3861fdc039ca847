#include "telemetry/access_log.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "records.h"

namespace sockmesh::telemetry {

namespace {

struct TempFile {
  std::string path = (std::filesystem::temp_directory_path() / "sockmesh-access-XXXXXX").string();
  TempFile() { ::close(::mkstemp(path.data())); }
  ~TempFile() { std::filesystem::remove(path); }
  size_t lines() const {
    std::ifstream in(path);
    size_t n = 0;
    for (std::string line; std::getline(in, line);) ++n;
    return n;
  }
};

constexpr auto kSoon = std::chrono::seconds(10);

}  // namespace

TEST_CASE("an access log is off until it is configured, and off again when asked") {
  const TempFile file;
  AccessLog log;
  log.append(some_record());
  REQUIRE(log.configure({.access_log_file = file.path}));
  log.append(some_record());
  REQUIRE(log.flush(kSoon));
  REQUIRE(log.configure({}));
  log.append(some_record());
  CHECK(file.lines() == 1);
  CHECK(log.lines() == 1);
  CHECK(log.dropped() == 0);
}

TEST_CASE("a file that cannot be opened leaves the former one in force") {
  const TempFile file;
  AccessLog log;
  REQUIRE(log.configure({.access_log_file = file.path}));
  CHECK_FALSE(log.configure({.access_log_file = "/no/such/folder/x"}));
  log.append(some_record());
  REQUIRE(log.flush(kSoon));
  CHECK(file.lines() == 1);
}

TEST_CASE("the file may change while workers log: no line is lost or doubled") {
  const TempFile one, two;
  constexpr int kLines = 1000;
  AccessLog log;
  REQUIRE(log.configure({.access_log_file = one.path}));
  std::thread worker([&log] {
    for (int i = 0; i < kLines; ++i) log.append(some_record());
  });
  for (int i = 0; i < 20; ++i) {
    REQUIRE(log.configure({.access_log_file = i % 2 ? one.path : two.path}));
    REQUIRE(
        log.configure({.access_log_file = i % 2 ? one.path : two.path, .access_log_format = "%DURATION%"}));
  }
  worker.join();
  REQUIRE(log.flush(kSoon));
  CHECK(one.lines() + two.lines() == kLines);
}

}  // namespace sockmesh::telemetry
