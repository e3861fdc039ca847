// AppMetrics: the application's own Prometheus page, merged behind ours on 15020 as istio-agent does. The
// injector moves the pod's prometheus.io annotations into ISTIO_PROMETHEUS_ANNOTATIONS:
// {"scrape":"true","path":"/metrics","port":"8080"}. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace sockmesh::admin {

struct AppScrape {
  uint16_t port = 80;
  std::string path = "/metrics";
};

// Nothing when the application is not to be scraped; an error names the bad field.
Result<std::optional<AppScrape>> parse_app_scrape(const std::string& annotations);

class AppMetrics {
 public:
  AppMetrics() = default;  // no application: empty pages
  explicit AppMetrics(AppScrape scrape);

  // The page, fetched from 127.0.0.1 within `timeout`, at most 16 MiB; "" when there is none or it failed.
  std::string page(Duration timeout) const;
  uint64_t failures() const { return failures_ ? failures_->load() : 0; }
  bool present() const { return scrape_.has_value(); }

 private:
  std::optional<AppScrape> scrape_;
  std::shared_ptr<std::atomic<uint64_t>> failures_;
};

}  // namespace sockmesh::admin
