// Any bytes in pieces of any size, through the parser and the connection behind it: no crash; the verdict
// does not depend on how the bytes were cut; nothing that is kept is larger than the bounds; each connection
// ends, and what it says begins as an answer should. The first byte says how the rest is cut.
#include <cerrno>
#include <cstdlib>

#include "http/server_connection.h"

using namespace sockmesh;
using namespace sockmesh::http;

namespace {

using State = ServerConnection::State;

const ConnectionBounds kBounds{.request = {.line = 200, .head = 600, .headers = 8, .body = 100},
                               .linger_bytes = 500};

struct Wire final : Transport {
  std::string_view coming;
  size_t step = 1;
  std::string sent;
  bool ended = false;

  ssize_t read(char* into, size_t size) override {
    const size_t length = std::min({coming.size(), size, step});
    coming.copy(into, length);
    coming.remove_prefix(length);
    return static_cast<ssize_t>(length);  // 0 at the end: FIN
  }
  ssize_t write(const iovec* parts, int count) override {
    for (int i = 0; i < count; ++i) {
      if (parts[i].iov_len == 0) continue;
      const size_t length = std::min(parts[i].iov_len, step + 30);  // "100 Continue" goes whole
      sent.append(static_cast<const char*>(parts[i].iov_base), length);
      return static_cast<ssize_t>(length);
    }
    return 0;
  }
  void end_writing() override {
    if (std::exchange(ended, true)) std::abort();
  }
};

void check(const Request& request) {
  size_t bytes = request.method.size() + request.target.size();
  for (const Header& header : request.headers) {
    bytes += header.name.size() + header.value.size();
    if (header.name.empty()) std::abort();
    for (const char c : header.value)
      if (c == '\r' || c == '\n' || c == '\0') std::abort();
  }
  if (bytes > kBounds.request.head || request.headers.size() > kBounds.request.headers) std::abort();
  if (request.target.size() > kBounds.request.line || request.body.size() > kBounds.request.body)
    std::abort();
  if (!request.target.starts_with('/') || request.path.find('\0') != std::string::npos) std::abort();
}

// Serves the bytes; what was said.
std::string serve(std::string_view bytes, size_t step) {
  Wire wire;
  wire.coming = bytes;
  wire.step = step;
  MonotonicTime now{};
  ServerConnection connection(wire, kBounds, now);
  for (int turn = 0; connection.state() != State::kClosed; ++turn) {
    if (turn > 100'000) std::abort();  // it ends
    if (connection.state() == State::kAnswering) {
      const Request request = connection.take_request();
      check(request);
      connection.answer({.body = {part(request.method + " " + request.path), part(request.body)}}, now);
    } else if (connection.wants_to_write()) {
      connection.writable(now);
    } else {
      connection.readable(now);
    }
  }
  if (!wire.sent.empty() && !wire.sent.starts_with("HTTP/1.1 ")) std::abort();
  return wire.sent;
}

// An answer without the interim one, which comes or not with how the body does.
std::string final_part(std::string sent) {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  return sent.starts_with(kContinue) ? sent.substr(kContinue.size()) : sent;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = final_part(serve(bytes, bytes.size()));
  const std::string pieces = final_part(serve(bytes, 1 + data[0] % 64));
  // A refusal may name what came first in another order (a bad byte, a line too long); a request is the same.
  const auto status = [](const std::string& answer) { return answer.substr(0, 12); };
  if (status(whole) == "HTTP/1.1 200" || status(pieces) == "HTTP/1.1 200")
    if (whole != pieces) std::abort();
  return 0;
}
