// AppMetrics: the application's own Prometheus page, merged behind ours on 15020 as istio-agent does. The
// injector moves the pod's prometheus.io annotations into ISTIO_PROMETHEUS_ANNOTATIONS:
// {"scrape":"true","path":"/metrics","port":"8080"}. Thread: the loop's.
//
// Bounds: at most two pages are being fetched at a time (the text format and OpenMetrics), however many ask;
// a page has at most 16 MiB; it is given up after 10 s, and by who asks 3 s after the question, or 9/10 of
// X-Prometheus-Scrape-Timeout-Seconds.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "event/loop.h"
#include "http/client.h"
#include "http/server.h"

namespace sockmesh::admin {

struct AppScrape {
  uint16_t port = 80;
  std::string path = "/metrics";
};

// Nothing when the application is not to be scraped; an error names the bad field. A port that is our own
// (`status_port`) is one: each scrape would ask for the next.
Result<std::optional<AppScrape>> parse_app_scrape(const std::string& annotations, uint16_t status_port);

struct AppPage {
  http::Part text;   // ends with a newline; null when the application failed
  std::string type;  // the Content-Type that the merged page is to have
};

extern const char* const kTextFormat;  // Prometheus' text format, as a Content-Type

class AppMetrics {
 public:
  AppMetrics(event::Loop& loop, http::Client& client, std::optional<AppScrape> scrape);
  ~AppMetrics();

  bool present() const { return scrape_.has_value(); }
  uint64_t failures() const { return failures_; }
  // Fetches the page for who sent `request`; `done` is called once, later. Destroying what is returned gives
  // up.
  http::Work page(const http::Request& request, std::function<void(AppPage)> done);

 private:
  struct Fetch;
  struct Waiter;

  void begin(Fetch& fetch, const http::Request& request);
  void end(Fetch& fetch, http::Outcome outcome);

  event::Loop& loop_;
  http::Client& client_;
  const std::optional<AppScrape> scrape_;
  uint64_t failures_ = 0;
  std::array<std::unique_ptr<Fetch>, 2> fetches_;  // text, OpenMetrics
};

}  // namespace sockmesh::admin
