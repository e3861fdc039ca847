// Client: HTTP requests to numeric addresses over a loop, by libcurl (HTTP/1.1, HTTP/2, TLS). Nothing is
// looked up, no proxy and no file of a user is read, no connection is kept for the next request. Every call
// has a deadline for the whole of it, and bounds for headers and body, so that an answer that drips or never
// ends is a failure like any other. Thread: the loop's. The loop outlives the client, the client its
// transfers.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "event/loop.h"
#include "http/message.h"

namespace sockmesh::http {

struct Call {
  enum class Protocol : uint8_t { kHttp11, kNegotiated, kHttp2 };  // kNegotiated: HTTP/2 where TLS offers it

  std::string url;  // "http://10.0.0.1:8080/ready", or with the name "localhost": 127.0.0.1, then ::1
  std::vector<Header> headers;
  std::optional<std::string> body;  // POST; without one GET
  Protocol protocol = Protocol::kHttp11;
  std::optional<IpAddress> source;  // bound before connecting
  Duration deadline = std::chrono::seconds(1);
  size_t max_headers = 64 * 1024;  // bytes; more is a failure
  size_t max_body = 1 << 20;       // bytes
  bool cut_body = false;           // what is over max_body is left unread, and that is no failure
};

struct Outcome {
  std::string error;             // why there is no whole answer: "" when there is one
  int status = 0;                // 0: not even the headers came whole
  std::string type;              // Content-Type
  std::string redirect;          // where it sends us, absolute; "" when nowhere
  std::string redirect_host;     // of it
  bool same_host_named = false;  // the redirect named no host: the one asked is meant
  std::string grpc_status;       // trailer or header "grpc-status"
  std::string body;

  bool whole() const { return error.empty(); }
};

class Client {
 public:
  explicit Client(event::Loop& loop);
  ~Client();

  // Ends with `done`, once, never before this returns; destroying the handle gives up, and may happen inside
  // `done`.
  class Transfer;
  using Handle = std::shared_ptr<Transfer>;
  Handle start(Call call, std::function<void(Outcome)> done);

 private:
  struct Multi;
  event::Loop& loop_;
  std::unique_ptr<Multi> multi_;  // made with the first call
};

}  // namespace sockmesh::http
