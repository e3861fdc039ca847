#include "ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "base/strings.h"

namespace sockmesh::stress {

namespace {

// What was read of a log is given back to the file system in steps of this size: a long run writes a lot.
constexpr uint64_t kPunchStep = 16 << 20;

uint16_t port_of(std::string_view address) {
  const size_t colon = address.rfind(':');
  return colon == address.npos ? uint16_t{0} : parse_number<uint16_t>(address.substr(colon + 1)).value_or(0);
}

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(const std::string& client_log, const std::string& server_log) {
  auto ledger = std::make_unique<Ledger>();
  for (size_t i = 0; i < 2; ++i) {
    const std::string& path = i == 0 ? client_log : server_log;
    ledger->logs_[i].file = Fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!ledger->logs_[i].file) return fail(os_error("open " + path));
  }
  return ledger;
}

void Ledger::follow() {
  for (Log& log : logs_) read_more(log, mutex_);
}

void Ledger::read_more(Log& log, std::mutex& mutex) {
  thread_local std::vector<char> buffer(256 * 1024);
  while (true) {
    const ssize_t count = pread(log.file.get(), buffer.data(), buffer.size(), static_cast<off_t>(log.offset));
    if (count <= 0) return;
    log.offset += static_cast<uint64_t>(count);
    log.rest.append(buffer.data(), static_cast<size_t>(count));
    const size_t last = log.rest.rfind('\n');
    if (last != std::string::npos) {
      const size_t complete = last + 1;
      auto lines = test::read_access_log(log.rest.substr(0, complete));
      log.rest.erase(0, complete);
      const std::lock_guard lock(mutex);
      for (test::AccessLine& line : lines) log.lines[port_of(line.destination)].push_back(std::move(line));
    }
    if (log.offset - log.punched >= kPunchStep) {
      fallocate(log.file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(log.punched),
                static_cast<off_t>(log.offset - log.punched));
      log.punched = log.offset;
    }
  }
}

std::optional<Lines> Ledger::take(uint16_t port) {
  const std::lock_guard lock(mutex_);
  auto& outbound = logs_[0].lines[port];
  auto& inbound = logs_[1].lines[port];
  if (outbound.empty() || inbound.empty()) return std::nullopt;
  Lines lines{std::move(outbound.front()), std::move(inbound.front())};
  outbound.pop_front();
  inbound.pop_front();
  return lines;
}

std::string Ledger::have(uint16_t port) {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (size_t i = 0; i < 2; ++i) {
    text += i == 0 ? "  client's agent:" : "  server's agent:";
    const auto& lines = logs_[i].lines[port];
    for (const test::AccessLine& line : lines) text += " " + line.text;
    text += lines.empty() ? " no line\n" : "\n";
  }
  return text;
}

std::string Ledger::left_over() {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const Log& log : logs_)
    for (const auto& [port, lines] : log.lines)
      for (const test::AccessLine& line : lines) text += line.text + "\n";
  return text;
}

}  // namespace sockmesh::stress
