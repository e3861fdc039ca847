#include "admin/api.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace sockmesh::admin {

namespace {

using nlohmann::json;

// An agent made of values; `calls` notes what was asked to change.
struct FakeAgent {
  Sources sources() {
    Sources sources;
    sources.snapshot = [this] { return snapshot; };
    sources.status = [this] { return status; };
    sources.readiness = [this] { return readiness; };
    sources.flows = [this] { return flows; };
    sources.metrics = [] { return std::string("istio_build 1\n"); };
    sources.loggers = [this] { return std::vector<Logger>{{"agent", level}}; };
    sources.set_log_level = [this](const std::string& logger, const std::string& to) -> Result<void> {
      if (to == "loud") return fail("level '{}': expected trace, debug, info, ...", to);
      calls.push_back("level " + logger + "=" + to);
      level = to;
      return {};
    };
    sources.set_enabled = [this](model::Lane lane, bool on) -> Result<void> {
      calls.push_back(fmt::format("{} {}", to_string(lane), on ? "on" : "off"));
      return {};
    };
    sources.drain = [this](const DrainRequest& request) {
      calls.push_back(std::string("drain") + (request.inbound_only ? " inbound" : "") +
                      (request.graceful ? " gracefully" : ""));
    };
    sources.quit = [this] { calls.push_back("quit"); };
    return sources;
  }

  model::SnapshotPtr snapshot = std::make_shared<model::Snapshot>();
  AgentStatus status;
  Readiness readiness{true, ""};
  FlowListing flows;
  std::string level = "info";
  std::vector<std::string> calls;
};

Reply get(const Api& api, Door door, const std::string& path, std::map<std::string, std::string> query = {}) {
  return api.handle(door, {.method = "GET", .path = path, .query = std::move(query)});
}
Reply post(const Api& api, Door door, const std::string& path, std::map<std::string, std::string> query = {},
           bool localhost = true) {
  return api.handle(door,
                    {.method = "POST", .path = path, .query = std::move(query), .from_localhost = localhost});
}

}  // namespace

TEST_CASE("each door answers its own paths and no others") {
  FakeAgent agent;
  const Api api(agent.sources());
  CHECK(get(api, Door::kReadiness, "/healthz/ready").status == 200);
  CHECK(get(api, Door::kReadiness, "/stats/prometheus").status == 404);
  CHECK(get(api, Door::kMetrics, "/stats/prometheus").body == "istio_build 1\n");
  CHECK(get(api, Door::kMetrics, "/metrics").status == 200);
  CHECK(get(api, Door::kMetrics, "/config_dump").status == 404);
  CHECK(get(api, Door::kAdmin, "/config_dump").status == 200);
  CHECK(get(api, Door::kAdmin, "/v1/flows").status == 404);
  CHECK(get(api, Door::kSocket, "/v1/flows").status == 200);
  CHECK(post(api, Door::kReadiness, "/quitquitquit").status == 404);
  CHECK(agent.calls.empty());
}

TEST_CASE("not ready is 503 with the reason") {
  FakeAgent agent;
  agent.readiness = {false, "no configuration received from /etc/x"};
  const Api api(agent.sources());
  const Reply reply = get(api, Door::kReadiness, "/healthz/ready");
  CHECK(reply.status == 503);
  CHECK(reply.body == "no configuration received from /etc/x\n");
}

TEST_CASE("what changes the agent is for localhost, and for POST") {
  FakeAgent agent;
  const Api api(agent.sources());
  CHECK(post(api, Door::kStatus, "/quitquitquit", {}, false).status == 403);
  CHECK(post(api, Door::kStatus, "/drain", {}, false).status == 403);
  CHECK(get(api, Door::kStatus, "/quitquitquit").status == 405);
  CHECK(agent.calls.empty());
  CHECK(post(api, Door::kStatus, "/drain").status == 200);  // as istio-agent: inbound, gracefully
  agent.status.role = "gateway";
  CHECK(post(api, Door::kStatus, "/drain").status == 200);
  CHECK(post(api, Door::kSocket, "/v1/drain", {{"inboundonly", ""}}).status == 200);
  CHECK(post(api, Door::kAdmin, "/drain_listeners", {{"inboundonly", ""}, {"graceful", ""}}).body == "OK\n");
  CHECK(post(api, Door::kStatus, "/quitquitquit").status == 200);
  CHECK(post(api, Door::kSocket, "/v1/splice", {{"enabled", "false"}}, false).status == 200);
  CHECK(agent.calls == std::vector<std::string>{"drain inbound gracefully", "drain gracefully",
                                                "drain inbound", "drain inbound gracefully", "quit",
                                                "sk_skb off"});
  CHECK(post(api, Door::kSocket, "/v1/splice", {{"enabled", "maybe"}}).status == 400);
}

TEST_CASE("logging answers as Envoy does, with or without a change") {
  FakeAgent agent;
  const Api api(agent.sources());
  CHECK(post(api, Door::kAdmin, "/logging").body == "active loggers:\n  agent: info\n");
  CHECK(post(api, Door::kAdmin, "/logging", {{"level", "debug"}}).body ==
        "active loggers:\n  agent: debug\n");
  CHECK(post(api, Door::kAdmin, "/logging", {{"paths", "agent:warning"}}).status == 200);
  CHECK(agent.calls == std::vector<std::string>{"level =debug", "level agent=warning"});
  const Reply bad = post(api, Door::kAdmin, "/logging", {{"level", "loud"}});
  CHECK(bad.status == 400);
  CHECK(bad.body.find("'loud'") != std::string::npos);
}

TEST_CASE("before the first configuration") {
  FakeAgent agent;
  agent.snapshot = nullptr;
  const Api api(agent.sources());
  CHECK(get(api, Door::kSocket, "/v1/listeners").status == 503);
  CHECK(get(api, Door::kAdmin, "/config_dump").status == 503);
  CHECK(get(api, Door::kSocket, "/v1/explain", {{"destination", "10.0.0.1:80"}}).status == 503);
  CHECK(get(api, Door::kSocket, "/v1/status").status == 200);
}

TEST_CASE("an agent that lacks a part says so instead of failing") {
  const Api api(Sources{});
  CHECK(get(api, Door::kSocket, "/v1/flows").status == 501);
  CHECK(post(api, Door::kSocket, "/v1/splice", {{"enabled", "true"}}).status == 501);
  CHECK(get(api, Door::kMetrics, "/metrics").status == 501);
  CHECK(get(api, Door::kReadiness, "/healthz/ready").status == 503);
}

TEST_CASE("explain says what is wrong with a question") {
  FakeAgent agent;
  const Api api(agent.sources());
  const auto error = [&](std::map<std::string, std::string> query) {
    const Reply reply = get(api, Door::kSocket, "/v1/explain", std::move(query));
    return std::to_string(reply.status) + " " + json::parse(reply.body)["error"].get<std::string>();
  };
  CHECK(error({{"destination", "10.0.0.1"}}) ==
        "400 '10.0.0.1': expected IP:PORT, [IP6]:PORT or the id of an open flow");
  CHECK(error({{"destination", "10.0.0.1:1"}, {"direction", "up"}}) ==
        "400 direction 'up': expected outbound or inbound");
  CHECK(error({{"flow", "x"}}) == "400 flow 'x': expected the number of an open flow");
  CHECK(error({{"flow", "9"}}) == "404 flow 9: no such open connection (0 are open)");
}

TEST_CASE("readiness and refusals take no time, all else is made elsewhere") {
  FakeAgent agent;
  const Api api(agent.sources());
  const auto effort = [&](Door door, const std::string& method, const std::string& path,
                          bool localhost = true) {
    return api.effort(door, {.method = method, .path = path, .from_localhost = localhost});
  };
  CHECK(effort(Door::kReadiness, "GET", "/healthz/ready") == Effort::kNone);
  CHECK(effort(Door::kStatus, "GET", "/healthz/ready") == Effort::kNone);
  CHECK(effort(Door::kReadiness, "GET", "/config_dump") == Effort::kNone);  // 404
  CHECK(effort(Door::kStatus, "POST", "/drain", false) == Effort::kNone);   // 403
  CHECK(effort(Door::kStatus, "POST", "/drain") == Effort::kSome);
  CHECK(effort(Door::kSocket, "GET", "/v1/flows") == Effort::kSome);
  CHECK(effort(Door::kMetrics, "GET", "/metrics") == Effort::kSome);
  CHECK(effort(Door::kStatus, "GET", "/metrics") == Effort::kMergedMetrics);
}

TEST_CASE("bytes that are not UTF-8 in a name do not break a reply") {
  FakeAgent agent;
  telemetry::ConnectionRecord record;
  record.server_name = "\xff";
  agent.flows = {{record}, 1};
  const Api api(agent.sources());
  CHECK(json::parse(get(api, Door::kSocket, "/v1/flows").body)["flows"][0]["serverName"] == "\xef\xbf\xbd");
}

}  // namespace sockmesh::admin
