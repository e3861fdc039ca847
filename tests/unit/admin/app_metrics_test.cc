#include "admin/app_metrics.h"

#include <catch2/catch.hpp>

#include "application.h"

namespace sockmesh::admin {

namespace {

using namespace std::chrono_literals;

// Scrapes, and what they get.
struct Scraper {
  explicit Scraper(uint16_t port, const std::string& path = "/metrics")
      : metrics(*loop, client, AppScrape{.port = port, .path = path}) {}

  http::Work ask(const std::vector<http::Header>& headers = {}) {
    http::Request request;
    request.headers = headers;
    return metrics.page(request, [this](AppPage page) {
      pages.push_back(std::move(page));
      if (pages.size() >= wanted) loop->stop();
    });
  }
  // Until `count` pages have come.
  void run(size_t count = 1) {
    wanted = count;
    if (pages.size() < count) loop->run();
  }
  std::string text(size_t index = 0) const { return pages.at(index).text ? *pages.at(index).text : "none"; }

  std::unique_ptr<event::Loop> loop = event::Loop::create(event::Backend::kEpoll).value();
  http::Client client{*loop};
  AppMetrics metrics;
  std::vector<AppPage> pages;
  size_t wanted = 1;
};

const http::Header kBriefly{"X-Prometheus-Scrape-Timeout-Seconds", "0.2"};

}  // namespace

TEST_CASE("the injector's annotations: what to scrape, or nothing") {
  CHECK_FALSE(parse_app_scrape("", 15020).value());
  CHECK_FALSE(parse_app_scrape(R"({"scrape":"false","port":"80"})", 15020).value());
  const auto scrape = parse_app_scrape(R"({"scrape":"true","path":"stats","port":"8080"})", 15020).value();
  REQUIRE(scrape);
  CHECK(scrape->port == 8080);
  CHECK(scrape->path == "/stats");
  CHECK(parse_app_scrape(R"({"scrape":"true"})", 15020).value()->path == "/metrics");
}

TEST_CASE("annotations that cannot be read are quoted") {
  const auto error = [](const char* text) { return parse_app_scrape(text, 15020).error().message; };
  CHECK(error("nonsense").find("'nonsense'") != std::string::npos);
  CHECK(error(R"({"scrape":"true","port":"http"})").find("'http'") != std::string::npos);
  CHECK(error(R"({"scrape":"true","port":"15020"})").find("the agent's own") != std::string::npos);
}

TEST_CASE("annotations of other types, and paths that would be more than a path") {
  const auto scrape = parse_app_scrape(R"({"scrape":true,"port":8080,"path":null})", 15020);
  CHECK_FALSE(scrape);  // and does not throw
  CHECK(scrape.error().message == "ISTIO_PROMETHEUS_ANNOTATIONS path 'null': expected a text");
  CHECK(parse_app_scrape(R"({"scrape":true,"port":8080})", 15020).value()->port == 8080);
  CHECK_FALSE(parse_app_scrape(R"({"scrape":["true"]})", 15020));
  CHECK_FALSE(parse_app_scrape(R"({"scrape":"true","port":{"a":1}})", 15020));
  CHECK(parse_app_scrape(R"({"scrape":"true","path":"/a HTTP/1.1\r\nHost: x"})", 15020).error().message ==
        "ISTIO_PROMETHEUS_ANNOTATIONS path '/a HTTP/1.1  Host: x': expected a path of a URL");
}

TEST_CASE("the application's page, and a failing application") {
  const Application application(http_answer("app_total 1"));
  Scraper good(application.port());
  const http::Work work = good.ask();
  good.run();
  CHECK(good.text() == "app_total 1\n");
  CHECK(good.pages[0].type == kTextFormat);
  CHECK(good.metrics.failures() == 0);

  const Application missing(http_answer("no", "", 404));
  Scraper bad(missing.port());
  const http::Work in_vain = bad.ask();
  bad.run();
  CHECK(bad.text() == "none");
  CHECK(bad.metrics.failures() == 1);

  uint16_t port = 0;
  { port = Application("").port(); }
  Scraper gone(port);
  const http::Work nobody = gone.ask();
  gone.run();
  CHECK(gone.text() == "none");
  CHECK(gone.metrics.failures() == 1);
}

TEST_CASE("OpenMetrics is passed on as that, when it was asked for") {
  const Application application(
      http_answer("# EOF\n", "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
  Scraper scraper(application.port());
  const http::Work work =
      scraper.ask({{"Accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4"}});
  scraper.run();
  CHECK(scraper.pages[0].type == "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

TEST_CASE("an application that drips is given up in time, its header and its body alike") {
  for (const char* first : {"", "HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\n\r\na"}) {
    const Application application(first, "a");
    Scraper scraper(application.port());
    const http::Work work = scraper.ask({kBriefly});
    scraper.run();
    CHECK(scraper.text() == "none");
    CHECK(scraper.metrics.failures() == 1);
  }
}

TEST_CASE("a page without end is given up at its bound") {
  const Application application("HTTP/1.1 200 OK\r\n\r\n", std::string(4 << 20, 'x'));
  Scraper scraper(application.port());
  const http::Work work = scraper.ask({{"X-Prometheus-Scrape-Timeout-Seconds", "60"}});
  scraper.run();
  CHECK(scraper.text() == "none");
}

TEST_CASE("many who ask at once share one fetch; who leaves takes nothing from the others") {
  const Application application("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "a");
  Scraper scraper(application.port());
  std::vector<http::Work> asked;
  for (int i = 0; i < 50; ++i) asked.push_back(scraper.ask({{"X-Prometheus-Scrape-Timeout-Seconds", "60"}}));
  asked.resize(40);
  const http::Work brief = scraper.ask({kBriefly});
  scraper.run(41);
  CHECK(application.accepted() == 1);
  CHECK(scraper.text(0) == "none");  // the brief one
  for (size_t i = 1; i < 41; ++i) CHECK(scraper.pages[i].text == scraper.pages[1].text);
  CHECK(scraper.text(1).size() == 501);
  CHECK(scraper.metrics.failures() == 1);
}

}  // namespace sockmesh::admin
