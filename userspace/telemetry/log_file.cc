#include "telemetry/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

namespace sockmesh::telemetry {

namespace {

// How often the path is looked up to see whether the file was renamed away (logrotate without a signal).
constexpr auto kRenameCheck = std::chrono::seconds(1);
// How long one wait for a slow reader may last before closing is looked at again.
constexpr int kPollMilliseconds = 100;

int inherited_descriptor(const std::string& path) {
  if (path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1") return STDOUT_FILENO;
  if (path == "/dev/stderr" || path == "/dev/fd/2" || path == "/proc/self/fd/2") return STDERR_FILENO;
  return -1;
}

Result<Fd> open_for_append(const std::string& path) {
  const int inherited = inherited_descriptor(path);
  // Non-blocking for the open alone: a FIFO nobody reads must not hold us here.
  Fd fd(inherited >= 0 ? ::fcntl(inherited, F_DUPFD_CLOEXEC, 3)
                       : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644));
  if (!fd) return fail(os_error("opening access log " + path));
  return fd;
}

bool is_regular(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

}  // namespace

Result<std::unique_ptr<LogFile>> LogFile::open(std::string path, Limits limits) {
  SOCKMESH_TRY(fd, open_for_append(path));
  const bool by_name = inherited_descriptor(path) < 0;
  return std::unique_ptr<LogFile>(new LogFile(std::move(path), limits, std::move(fd), by_name));
}

LogFile::LogFile(std::string path, Limits limits, Fd fd, bool by_name)
    : path_(std::move(path)),
      limits_(limits),
      by_name_(by_name),
      fd_(std::move(fd)),
      never_blocks_(is_regular(fd_.get())),
      checked_(monotonic_now()),
      thread_([this] { run(); }) {}

LogFile::~LogFile() {
  {
    const Lock lock(mutex_);
    closing_ = true;
    close_deadline_ = monotonic_now() + limits_.flush_on_close;
  }
  wake_.notify_one();
  thread_.join();
}

void LogFile::append(std::string_view line) {
  bool was_empty;
  {
    const Lock lock(mutex_);
    if (buffer_.size() + line.size() > limits_.buffered_bytes) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    was_empty = buffer_.empty();
    buffer_ += line;
  }
  if (was_empty) wake_.notify_one();
}

void LogFile::reopen() { reopen_.store(true); }

bool LogFile::flush(Duration deadline) {
  Lock lock(mutex_);
  const MonotonicTime end = monotonic_now() + deadline;
  while (!buffer_.empty() || writing_)
    if (!idle_.wait_until(lock, end)) return buffer_.empty() && !writing_;
  return true;
}

void LogFile::run() {
  std::string batch;
  Lock lock(mutex_);
  while (true) {
    while (buffer_.empty() && !closing_) wake_.wait(lock);
    if (buffer_.empty()) return;
    batch.clear();
    std::swap(batch, buffer_);
    writing_ = true;
    lock.unlock();
    reopen_if_renamed();
    write_out(batch);
    // One burst must not keep its memory for good.
    if (batch.capacity() > 256 * 1024) batch = std::string();
    lock.lock();
    writing_ = false;
    idle_.notify_all();
  }
}

void LogFile::write_out(std::string_view data) {
  while (!data.empty()) {
    if (!never_blocks_ && !wait_writable()) {
      dropped_.fetch_add(static_cast<uint64_t>(std::count(data.begin(), data.end(), '\n')),
                         std::memory_order_relaxed);
      return;
    }
    // A pipe that polls writable takes PIPE_BUF bytes without blocking, even when the descriptor is a
    // blocking one that others share.
    const size_t part = never_blocks_ ? data.size() : std::min<size_t>(data.size(), PIPE_BUF);
    const ssize_t n = ::write(fd_.get(), data.data(), part);
    if (n > 0) {
      written_.fetch_add(static_cast<uint64_t>(n), std::memory_order_relaxed);
      data.remove_prefix(static_cast<size_t>(n));
    } else if (n < 0 && errno != EINTR && errno != EAGAIN) {
      // A full disk or a closed pipe: this batch is lost, the next one is tried again.
      dropped_.fetch_add(static_cast<uint64_t>(std::count(data.begin(), data.end(), '\n')),
                         std::memory_order_relaxed);
      return;
    }
  }
}

// Waits until the descriptor takes bytes; false when the destructor's time is up.
bool LogFile::wait_writable() {
  while (true) {
    pollfd poll_fd{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
    if (::poll(&poll_fd, 1, kPollMilliseconds) > 0) return true;
    const Lock lock(mutex_);
    if (closing_ && monotonic_now() >= close_deadline_) return false;
  }
}

void LogFile::reopen_if_renamed() {
  const bool asked = reopen_.exchange(false);
  if (!by_name_) return;
  if (!asked) {
    const auto now = monotonic_now();
    if (now - checked_ < kRenameCheck) return;
    checked_ = now;
    struct stat open_file {
    }, at_path{};
    if (::fstat(fd_.get(), &open_file) == 0 && ::stat(path_.c_str(), &at_path) == 0 &&
        open_file.st_ino == at_path.st_ino && open_file.st_dev == at_path.st_dev)
      return;
  }
  if (auto fd = open_for_append(path_)) {
    fd_ = std::move(*fd);
    never_blocks_ = is_regular(fd_.get());
  } else {
    spdlog::warn("{}; going on with the file that was open", fd.error().message);
  }
}

}  // namespace sockmesh::telemetry
