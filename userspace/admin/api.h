// Api: the table of paths that the admin server answers, and on which of its doors. A request in, a reply
// out: no sockets here. Thread-safe as far as the Sources are.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "admin/app_metrics.h"
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

class Api {
 public:
  // `app` adds the application's own metrics to what 15020 gives; may fail, then they are left out and
  // counted.
  Api(Sources sources, AppMetrics app);
  Reply handle(Door door, const Request& request) const;

 private:
  Sources sources_;
  AppMetrics app_;
};

}  // namespace sockmesh::admin
