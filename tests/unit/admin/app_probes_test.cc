#include "admin/app_probes.h"

#include <catch2/catch.hpp>

#include "admin/app_prober.h"
#include "application.h"

namespace sockmesh::admin {

namespace {

using namespace std::chrono_literals;

AppProbe probe_of(const std::string& json) {
  const AppProbes probes = parse_app_probes(R"({"/app-health/web/readyz": )" + json + "}", 15020);
  REQUIRE(probes.by_path.size() == 1);
  return probes.by_path.begin()->second.value();
}
std::string problem_of(const std::string& json) {
  const auto problems = parse_app_probes(json, 15020).problems();
  return problems.empty() ? "" : problems.front();
}

struct Prober {
  explicit Prober(const std::string& json, const std::string& target = "127.0.0.1",
                  uint16_t status_port = 15020)
      : prober(*loop, client, parse_app_probes(json, status_port),
               {IpAddress::parse(target).value(), status_port}) {}

  http::Response ask(const std::string& path = "/app-health/web/readyz",
                     std::vector<http::Header> headers = {}) {
    http::Request request;
    request.path = path;
    request.headers = std::move(headers);
    http::Response answer;
    bool answered = false;
    const http::Work work = prober.run(request, [&](http::Response response) {
      answer = std::move(response);
      answered = true;
      loop->stop();
    });
    loop->run();  // at once over when it was stopped before
    CHECK(answered);
    return answer;
  }
  static std::string body(const http::Response& response) {
    std::string all;
    for (const http::Part& one : response.body) all += *one;
    return all;
  }

  std::unique_ptr<event::Loop> loop = event::Loop::create(event::Backend::kEpoll).value();
  http::Client client{*loop};
  AppProber prober;
};

std::string http_get(uint16_t port, const std::string& more = "") {
  return fmt::format(R"({{"/app-health/web/readyz": {{"httpGet": {{"path": "/ready", "port": {}}}{}}}}})",
                     port, more);
}

}  // namespace

TEST_CASE("the injector's probes, as values") {
  const AppProbe http = probe_of(R"({"httpGet": {"path": "live?x=1", "port": 8080, "scheme": "HTTPS",
      "httpHeaders": [{"name": "A", "value": "b"}]}, "timeoutSeconds": 7})");
  CHECK(http.kind == AppProbe::Kind::kHttp);
  CHECK(http.port == 8080);
  CHECK(http.path == "/live?x=1");
  CHECK(http.tls);
  CHECK(http.timeout == 7s);
  CHECK(probe_of(R"({"httpGet": {"port": 1}})").path == "/");
  CHECK(probe_of(R"({"httpGet": {"port": 1}})").timeout == 1s);
  CHECK(probe_of(R"({"tcpSocket": {"port": 65535}, "timeoutSeconds": 0})").kind == AppProbe::Kind::kTcp);
  CHECK(probe_of(R"({"grpc": {"port": 9, "service": "a.B"}})").service == "a.B");
  CHECK(probe_of(R"({"grpc": {"port": 9, "service": null}})").service.empty());
  CHECK(parse_app_probes("", 15020).problems().empty());
  CHECK(parse_app_probes("{}", 15020).problems().empty());
  CHECK(parse_app_probes(R"({"/app-lifecycle/web/prestopz": {"httpGet": {"port": 1}}})", 15020)
            .problems()
            .empty());
}

TEST_CASE("probes that cannot be read are named, and the others stand") {
  CHECK(problem_of("{nonsense") == "ISTIO_KUBE_APP_PROBERS '{nonsense': expected a JSON object");
  CHECK(problem_of("[]").find("expected a JSON object") != std::string::npos);
  const auto one = [](const char* probe) {
    return problem_of(fmt::format(R"({{"/app-health/a/livez": {}}})", probe));
  };
  CHECK(one("1").find("expected an object") != std::string::npos);
  CHECK(one("{}").find("expected one of httpGet, tcpSocket, grpc") != std::string::npos);
  CHECK(one(R"({"httpGet": {"port": 1}, "tcpSocket": {"port": 1}})").find("expected one of") !=
        std::string::npos);
  CHECK(one(R"({"httpGet": {"port": "http"}})").find("port '\"http\"': expected a number") !=
        std::string::npos);
  CHECK(one(R"({"tcpSocket": {"port": 0}})").find("port '0'") != std::string::npos);
  CHECK(one(R"({"tcpSocket": {"port": 65536}})").find("port '65536'") != std::string::npos);
  CHECK(one(R"({"httpGet": {"port": 15020}})").find("the agent's own") != std::string::npos);
  CHECK(one(R"({"httpGet": {"port": 1, "path": 7}})").find("path '7'") != std::string::npos);
  CHECK(one(R"({"httpGet": {"port": 1, "scheme": "FTP"}})").find("'FTP'") != std::string::npos);
  CHECK(one(R"({"grpc": {"port": 1}, "timeoutSeconds": -1})").find("'-1'") != std::string::npos);
  CHECK(problem_of(R"({"/other/a/livez": {"httpGet": {"port": 1}}})").find("'/other/a/livez'") !=
        std::string::npos);
  CHECK(problem_of(R"({"/app-health//livez": {"httpGet": {"port": 1}}})").find("expected /app-health") !=
        std::string::npos);

  const AppProbes both = parse_app_probes(
      R"({"/app-health/a/livez": {}, "/app-health/b/livez": {"tcpSocket": {"port": 1}}})", 15020);
  CHECK(both.problems().size() == 1);
  CHECK(both.by_path.at("/app-health/b/livez"));
}

TEST_CASE("what the application gets as Host") {
  CHECK(host_for_app("10.0.0.1:15020", 15020, 8080) == "10.0.0.1:8080");
  CHECK(host_for_app("[fd00::1]:15020", 15020, 8080) == "[fd00::1]:8080");
  CHECK(host_for_app("shop.example", 15020, 8080) == "shop.example");
  CHECK(host_for_app("shop.example:80", 15020, 8080) == "shop.example:80");
}

TEST_CASE("gRPC's health messages") {
  CHECK(health_request("") == std::string("\0\0\0\0\0", 5));
  CHECK(health_request("ab") == std::string("\0\0\0\0\4\x0a\2ab", 9));
  CHECK(health_request(std::string(200, 'x')).substr(0, 8) == std::string("\0\0\0\0\xcb\x0a\xc8\1", 8));
  const auto answer = [](const std::string& message) {
    return says_serving(std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message);
  };
  CHECK(answer("\x08\x01"));
  CHECK_FALSE(answer("\x08\x02"));                      // NOT_SERVING
  CHECK_FALSE(answer(""));                              // UNKNOWN
  CHECK(answer("\x08\x02\x08\x01"));                    // the last one counts
  CHECK(answer(std::string("\x10\x05\x08\x81\0", 5)));  // a field that we do not know; a long varint
  CHECK_FALSE(answer("\x08"));
  CHECK_FALSE(answer("\x0a\x01x"));
  CHECK_FALSE(answer(std::string(20, '\xff')));
  CHECK_FALSE(says_serving("\x01\x02"));
  CHECK_FALSE(says_serving(std::string("\1\0\0\0\2\x08\x01", 7)));  // compressed
  CHECK_FALSE(says_serving(std::string("\0\0\0\0\3\x08\x01", 7)));  // cut
}

TEST_CASE("an HTTP probe passes headers on and brings status and body back") {
  const Application application(http_answer("fine", "Content-Type: text/x\r\n", 299));
  Prober prober(http_get(application.port()));
  const http::Response answer = prober.ask();
  CHECK(answer.status == 299);
  CHECK(Prober::body(answer) == "fine");
  CHECK(answer.type == "text/x");
}

TEST_CASE("a failing, silent, dripping or missing application is 500, a body without end is cut") {
  const Application failing(http_answer("x", "", 503));
  CHECK(Prober(http_get(failing.port())).ask().status == 503);
  const Application silent("", "");
  CHECK(Prober(http_get(silent.port())).ask().status == 500);
  const Application dripping("HTTP/1.1 200 OK\r\nX: ", "a");
  CHECK(Prober(http_get(dripping.port())).ask().status == 500);
  const Application endless("HTTP/1.1 200 OK\r\n\r\n", std::string(9000, 'x'));
  const http::Response cut = Prober(http_get(endless.port(), R"(, "timeoutSeconds": 60)")).ask();
  CHECK(cut.status == 200);
  CHECK(Prober::body(cut).size() == 10 * 1024);
}

TEST_CASE("redirects: within the pod they are followed, elsewhere is 200") {
  const Application there(http_answer("arrived", "", 201));
  const auto redirect = [](const std::string& to) {
    return http_answer("", "Location: " + to + "\r\n", 302);
  };
  const Application near(redirect(fmt::format("http://127.0.0.1:{}/x", there.port())));
  CHECK(Prober(http_get(near.port())).ask().status == 201);
  const Application away(redirect("http://elsewhere.example/"));
  CHECK(Prober(http_get(away.port())).ask().status == 200);
  const Application nowhere(http_answer("", "", 304));
  CHECK(Prober(http_get(nowhere.port())).ask().status == 200);
  const Application circle(redirect("/again"));
  CHECK(Prober(http_get(circle.port(), R"(, "timeoutSeconds": 60)")).ask().status == 500);
  CHECK(circle.accepted() == 10);
}

TEST_CASE("a TCP probe connects, or does not") {
  const auto tcp = [](uint16_t port) {
    return fmt::format(R"({{"/app-health/web/readyz": {{"tcpSocket": {{"port": {}}}}}}})", port);
  };
  const Application application("");
  CHECK(Prober(tcp(application.port())).ask().status == 200);
  uint16_t gone = 0;
  { gone = Application("").port(); }
  const http::Response refused = Prober(tcp(gone)).ask();
  CHECK(refused.status == 500);
  CHECK(Prober::body(refused).find("refused") != std::string::npos);
}

TEST_CASE("a gRPC probe is 200 for SERVING alone") {
  // HTTP/2 frames as bytes: our SETTINGS; then, once the client has opened stream 1, HEADERS (:status 200),
  // DATA (the health message), and trailers.
  const auto frame = [](char type, char flags, char stream, const std::string& payload) {
    return std::string{0, 0, static_cast<char>(payload.size()), type, flags, 0, 0, 0, stream} + payload;
  };
  const auto probe = [&](char health, const std::string& grpc_status) {
    const std::string message = {0, 0, 0, 0, 2, 8, health};
    const std::string trailer =
        std::string{0, 11} + "grpc-status" + static_cast<char>(grpc_status.size()) + grpc_status;
    const Application application(frame(4, 0, 0, ""),
                                  frame(1, 4, 1, "\x88") + frame(0, 0, 1, message) + frame(1, 5, 1, trailer));
    const http::Response answer =
        Prober(fmt::format(R"({{"/app-health/web/readyz": {{"grpc": {{"port": {}, "service": "a.B"}},
                            "timeoutSeconds": 30}}}})",
                           application.port()))
            .ask();
    return fmt::format("{} {}", answer.status, Prober::body(answer));
  };
  CHECK(probe(1, "0") == "200 ");
  CHECK_THAT(probe(2, "0"), Catch::StartsWith("500 ") && Catch::Contains("not SERVING"));
  CHECK_THAT(probe(1, "12"), Catch::StartsWith("500 ") && Catch::Contains("gRPC status '12'"));
}

TEST_CASE("a gRPC probe of what does not speak HTTP/2 is 500") {
  const Application application(http_answer("no"));
  const http::Response answer =
      Prober(fmt::format(R"({{"/app-health/web/readyz": {{"grpc": {{"port": {}}}}}}})", application.port()))
          .ask();
  CHECK(answer.status == 500);
}

TEST_CASE("probes that are not there, or were not understood") {
  CHECK(Prober("{}").ask().status == 400);
  CHECK(Prober::body(Prober("{}").ask("/app-health/x/livez")) ==
        "app prober config does not exists for /app-health/x/livez\n");
  const http::Response unread = Prober("{nonsense").ask();
  CHECK(unread.status == 500);
  CHECK(Prober::body(unread).find("ISTIO_KUBE_APP_PROBERS") != std::string::npos);
  CHECK(Prober(http_get(15020)).ask().status == 500);
}

}  // namespace sockmesh::admin
