// Api: the table of paths that the admin server answers, and on which of its doors. A request in, a reply
// out: no sockets here. Thread-safe as far as the Sources are.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "admin/sources.h"

namespace sockmesh::admin {

// The doors (admin_server.h says what each is for).
enum class Door : uint8_t { kSocket = 1, kAdmin = 2, kStatus = 4, kReadiness = 8, kMetrics = 16 };

struct Request {
  std::string method;  // "GET", "POST"
  std::string path;    // "/v1/flows", without the query
  std::map<std::string, std::string> query;
  bool from_localhost = false;  // 127.0.0.1 or ::1 to the byte: 127.0.0.6 is what the inbound path dials from
};

struct Reply {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

// What handle() would take for a request: none (refusals, readiness: no source is asked that may take time),
// or some; and whether the application's metrics belong to the answer.
enum class Effort : uint8_t { kNone, kSome, kMergedMetrics };

class Api {
 public:
  explicit Api(Sources sources);
  Reply handle(Door door, const Request& request) const;
  Effort effort(Door door, const Request& request) const;

 private:
  Sources sources_;
};

}  // namespace sockmesh::admin
