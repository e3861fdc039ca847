#include "admin/app_metrics.h"

#include <httplib.h>

#include <catch2/catch.hpp>
#include <thread>

namespace sockmesh::admin {

TEST_CASE("the injector's annotations: what to scrape, or nothing") {
  CHECK_FALSE(parse_app_scrape("").value());
  CHECK_FALSE(parse_app_scrape(R"({"scrape":"false","port":"80"})").value());
  const auto scrape = parse_app_scrape(R"({"scrape":"true","path":"stats","port":"8080"})").value();
  REQUIRE(scrape);
  CHECK(scrape->port == 8080);
  CHECK(scrape->path == "/stats");
  CHECK(parse_app_scrape(R"({"scrape":"true"})").value()->path == "/metrics");
}

TEST_CASE("annotations that cannot be read are quoted") {
  CHECK(parse_app_scrape("nonsense").error().message.find("'nonsense'") != std::string::npos);
  CHECK(parse_app_scrape(R"({"scrape":"true","port":"http"})").error().message.find("'http'") !=
        std::string::npos);
}

TEST_CASE("the application's page, and a failing application") {
  httplib::Server application;
  application.Get("/metrics",
                  [](const auto&, auto& response) { response.set_content("app_total 1", "text/plain"); });
  const int port = application.bind_to_any_port("127.0.0.1");
  std::thread serving([&] { application.listen_after_bind(); });
  while (!application.is_running()) std::this_thread::yield();

  const AppMetrics good({.port = static_cast<uint16_t>(port)});
  CHECK(good.page(std::chrono::seconds(5)) == "app_total 1\n");
  const AppMetrics bad({.port = static_cast<uint16_t>(port), .path = "/missing"});
  CHECK(bad.page(std::chrono::seconds(5)).empty());
  CHECK(bad.failures() == 1);
  CHECK(good.failures() == 0);
  application.stop();
  serving.join();

  CHECK(good.page(std::chrono::seconds(5)).empty());
  CHECK(good.failures() == 1);
}

}  // namespace sockmesh::admin
