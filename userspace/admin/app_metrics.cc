#include "admin/app_metrics.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "base/utf8.h"

namespace sockmesh::admin {

const char* const kTextFormat = "text/plain; version=0.0.4; charset=utf-8";

namespace {

using namespace std::chrono_literals;

constexpr size_t kMaxPage = 16 << 20;  // bytes; more is a failure, as half a page would be wrong
constexpr Duration kFetchTime = 10s, kDefaultPatience = 3s;
constexpr const char* kTimeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds";

// How long who asks waits: less than it gives us, so that our own metrics still reach it.
Duration patience_of(const http::Request& request) {
  const std::string* header = request.header(kTimeoutHeader);
  if (!header) return kDefaultPatience;
  const double seconds = std::strtod(header->c_str(), nullptr);
  if (!std::isfinite(seconds) || seconds <= 0) return kDefaultPatience;
  return std::min<Duration>(kFetchTime, std::chrono::duration_cast<Duration>(
                                            std::chrono::duration<double>(std::min(seconds, 3600.0) * 0.9)));
}

// The member as text, "" when it is absent. Annotations are texts, but whoever sets the variable by hand may
// write a number or a boolean.
Result<std::string> text_of(const nlohmann::json& object, const char* key) {
  const auto member = object.find(key);
  if (member == object.end()) return std::string();
  if (member->is_string()) return member->get<std::string>();
  if (member->is_boolean() || member->is_number_integer()) return member->dump();
  return fail("ISTIO_PROMETHEUS_ANNOTATIONS {} '{}': expected a text", key, printable(member->dump(), 80));
}

bool wants_open_metrics(const http::Request& request) {
  const std::string* accept = request.header("Accept");
  return accept && accept->find("application/openmetrics-text") != std::string::npos;
}

// As istio-agent: the application's format is that of the whole, and only OpenMetrics is another than text.
std::string format_of(const std::string& type) {
  if (!to_lower(type).starts_with("application/openmetrics-text")) return kTextFormat;
  const bool first = type.find("1.0.0") == std::string::npos;
  return fmt::format("application/openmetrics-text; version={}; charset=utf-8", first ? "0.0.1" : "1.0.0");
}

}  // namespace

Result<std::optional<AppScrape>> parse_app_scrape(const std::string& annotations, uint16_t status_port) {
  if (annotations.empty()) return std::optional<AppScrape>{};
  const auto json = nlohmann::json::parse(annotations, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return fail("ISTIO_PROMETHEUS_ANNOTATIONS '{}': expected a JSON object", printable(annotations, 80));
  SOCKMESH_TRY(wanted, text_of(json, "scrape"));
  if (wanted != "true") return std::optional<AppScrape>{};
  AppScrape scrape;
  SOCKMESH_TRY(path, text_of(json, "path"));
  // A blank or a line end would make something else of the request that it becomes part of.
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c <= ' ' || c >= 0x7f; }))
    return fail("ISTIO_PROMETHEUS_ANNOTATIONS path '{}': expected a path of a URL", printable(path, 80));
  if (!path.empty()) scrape.path = path.front() == '/' ? path : "/" + path;
  SOCKMESH_TRY(port, text_of(json, "port"));
  if (!port.empty()) {
    const auto number = parse_number<uint16_t>(port);
    if (!number || *number == 0)
      return fail("ISTIO_PROMETHEUS_ANNOTATIONS port '{}': expected a number from 1 to 65535",
                  printable(port, 80));
    scrape.port = *number;
  }
  if (scrape.port == status_port)
    return fail("ISTIO_PROMETHEUS_ANNOTATIONS port '{}': that is the agent's own, not the application's",
                scrape.port);
  return std::optional<AppScrape>{scrape};
}

// Somebody who waits for a page, until its patience ends.
struct AppMetrics::Waiter {
  Waiter(AppMetrics& its_owner, Fetch& its_fetch, std::function<void(AppPage)> its_done)
      : owner(its_owner), fetch(its_fetch), done(std::move(its_done)) {}
  ~Waiter();
  void answer(AppPage page) {
    if (!page.text) ++owner.failures_;
    if (page.type.empty()) page.type = kTextFormat;
    std::exchange(done, [](const AppPage&) {})(std::move(page));
  }

  AppMetrics& owner;
  Fetch& fetch;
  std::function<void(AppPage)> done;
  std::unique_ptr<event::Timer> timer;
};

struct AppMetrics::Fetch {
  bool open_metrics = false;
  http::Client::Handle transfer;  // null: none is under way
  std::vector<std::weak_ptr<Waiter>> waiters;
};

// The last who waited takes the fetch along.
AppMetrics::Waiter::~Waiter() {
  std::erase_if(fetch.waiters, [](const auto& one) { return one.expired(); });
  if (fetch.waiters.empty()) fetch.transfer = nullptr;
}

AppMetrics::AppMetrics(event::Loop& loop, http::Client& client, std::optional<AppScrape> scrape)
    : loop_(loop), client_(client), scrape_(std::move(scrape)) {
  for (auto& fetch : fetches_) fetch = std::make_unique<Fetch>();
  fetches_[1]->open_metrics = true;
}

AppMetrics::~AppMetrics() = default;

http::Work AppMetrics::page(const http::Request& request, std::function<void(AppPage)> done) {
  Fetch& fetch = *fetches_[wants_open_metrics(request) ? 1 : 0];
  const auto waiter = std::make_shared<Waiter>(*this, fetch, std::move(done));
  waiter->timer = loop_.timer([weak = std::weak_ptr(waiter)] {
    if (const auto strong = weak.lock()) strong->answer({});
  });
  waiter->timer->set(patience_of(request));
  fetch.waiters.push_back(waiter);
  if (!fetch.transfer) begin(fetch, request);
  return waiter;
}

void AppMetrics::begin(Fetch& fetch, const http::Request& request) {
  http::Call call{.url = fmt::format("http://localhost:{}{}", scrape_->port, scrape_->path),
                  .deadline = kFetchTime,
                  .max_body = kMaxPage};
  const char* text = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
  call.headers.push_back({"Accept", fetch.open_metrics
                                        ? fmt::format("application/openmetrics-text;version=1.0.0,"
                                                      "application/openmetrics-text;version=0.0.1;q=0.75,{}",
                                                      text)
                                        : text});
  for (const char* name : {"User-Agent", kTimeoutHeader})
    if (const std::string* value = request.header(name)) call.headers.push_back({name, *value});
  fetch.transfer = client_.start(std::move(call),
                                 [this, &fetch](http::Outcome outcome) { end(fetch, std::move(outcome)); });
}

void AppMetrics::end(Fetch& fetch, http::Outcome outcome) {
  const auto ended = std::exchange(fetch.transfer, nullptr);
  AppPage page;
  if (outcome.whole() && outcome.status == 200) {
    if (!outcome.body.empty() && outcome.body.back() != '\n') outcome.body += '\n';
    page = {http::part(std::move(outcome.body)), format_of(outcome.type)};
  } else {
    spdlog::debug("metrics of the application at port {}: {}", scrape_->port,
                  outcome.whole() ? fmt::format("status {}", outcome.status) : outcome.error);
  }
  // An answer may end the last hold on its waiter, and a new question may come.
  const auto waiters = std::exchange(fetch.waiters, {});
  for (const auto& weak : waiters)
    if (const auto waiter = weak.lock()) waiter->answer(page);
}

}  // namespace sockmesh::admin
