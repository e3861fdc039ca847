#include "telemetry/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

namespace sockmesh::telemetry {

namespace {

constexpr auto kSoon = std::chrono::seconds(10);  // a deadline, not a wait: conditions end it

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sockmesh-log-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()));
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string content(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("lines reach the file in order, what is buffered is written when it closes") {
  const Folder folder;
  {
    auto log = LogFile::open(folder / "access.log").value();
    log->append("one\n");
    log->append("two\n");
  }
  CHECK(content(folder / "access.log") == "one\ntwo\n");
}

TEST_CASE("after a rename and reopen() lines go to a new file under the old name") {
  const Folder folder;
  auto log = LogFile::open(folder / "access.log").value();
  log->append("before\n");
  REQUIRE(log->flush(kSoon));
  std::filesystem::rename(folder / "access.log", folder / "access.log.1");
  log->reopen();
  log->append("after\n");
  REQUIRE(log->flush(kSoon));
  CHECK(content(folder / "access.log.1") == "before\n");
  CHECK(content(folder / "access.log") == "after\n");
}

TEST_CASE("a file that cannot be opened is an error that names it") {
  const auto log = LogFile::open("/no/such/folder/access.log");
  REQUIRE_FALSE(log);
  CHECK(log.error().message.find("/no/such/folder/access.log") != std::string::npos);
}

TEST_CASE("a reader that stopped reading costs lines, never a writer's time") {
  const Folder folder;
  const std::string fifo = folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const Fd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK));
  auto log =
      LogFile::open(fifo, {.buffered_bytes = 64 * 1024, .flush_on_close = std::chrono::milliseconds(1)})
          .value();
  const std::string line(1023, 'x');
  for (int i = 0; i < 1000; ++i) log->append(line + "\n");  // 1 MB: pipe and buffer hold a fraction of it
  CHECK(log->dropped() > 0);
  log.reset();  // returns although nobody reads
}

TEST_CASE("many threads, every line whole") {
  const Folder folder;
  constexpr int kThreads = 4, kLines = 2000;
  {
    auto log = LogFile::open(folder / "access.log").value();
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&log, t] {
        for (int i = 0; i < kLines; ++i) log->append(std::string(20, static_cast<char>('a' + t)) + "\n");
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(log->dropped() == 0);
  }
  std::ifstream in(folder / "access.log");
  int lines = 0;
  for (std::string line; std::getline(in, line); ++lines) {
    REQUIRE(line.size() == 20);
    REQUIRE(line.find_first_not_of(line[0]) == std::string::npos);
  }
  CHECK(lines == kThreads * kLines);
}

}  // namespace sockmesh::telemetry
