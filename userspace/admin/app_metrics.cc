#include "admin/app_metrics.h"

#include <httplib.h>

#include <nlohmann/json.hpp>

#include "base/strings.h"

namespace sockmesh::admin {

namespace {
constexpr size_t kMaxPage = 16 << 20;  // bytes; more is a failure, as half a page would be wrong
}

Result<std::optional<AppScrape>> parse_app_scrape(const std::string& annotations) {
  if (annotations.empty()) return std::optional<AppScrape>{};
  const auto json = nlohmann::json::parse(annotations, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return fail("ISTIO_PROMETHEUS_ANNOTATIONS '{}': expected a JSON object", annotations);
  if (json.value("scrape", "") != "true") return std::optional<AppScrape>{};
  AppScrape scrape;
  if (const std::string path = json.value("path", ""); !path.empty())
    scrape.path = path.front() == '/' ? path : "/" + path;
  if (const std::string port = json.value("port", ""); !port.empty()) {
    const auto number = parse_number<uint16_t>(port);
    if (!number || *number == 0)
      return fail("ISTIO_PROMETHEUS_ANNOTATIONS port '{}': expected a number from 1 to 65535", port);
    scrape.port = *number;
  }
  return std::optional<AppScrape>{scrape};
}

AppMetrics::AppMetrics(AppScrape scrape)
    : scrape_(std::move(scrape)), failures_(std::make_shared<std::atomic<uint64_t>>(0)) {}

std::string AppMetrics::page(Duration timeout) const {
  if (!scrape_) return {};
  httplib::Client client("127.0.0.1", scrape_->port);
  client.set_connection_timeout(timeout);
  client.set_read_timeout(timeout);
  client.set_write_timeout(timeout);
  const auto deadline = monotonic_now() + timeout;
  std::string page;
  const auto reply = client.Get(scrape_->path, {{"Accept", "text/plain;version=0.0.4"}},
                                [&](const char* data, size_t length) {
                                  page.append(data, length);
                                  return page.size() <= kMaxPage && monotonic_now() < deadline;
                                });
  if (!reply || reply->status != 200) {
    failures_->fetch_add(1);
    return {};
  }
  if (!page.empty() && page.back() != '\n') page += '\n';
  return page;
}

}  // namespace sockmesh::admin
