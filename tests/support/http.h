// What a test needs to know of HTTP and of Prometheus' text format. Any thread.
#pragma once

#include <map>
#include <string>

#include "base/address.h"
#include "test_support/netns.h"

namespace sockmesh::test {

struct HttpResponse {
  int status = 0;
  std::string body;
};

// GET from inside `netns`. An error if nothing answers within a few seconds.
Result<HttpResponse> http_get(const Netns& netns, const SocketAddress& server, const std::string& path);

// The sum of all samples of `name` in a Prometheus text whose labels include `labels`; 0 if there is none.
double metric(const std::string& text, const std::string& name,
              const std::map<std::string, std::string>& labels = {});

}  // namespace sockmesh::test
