#include "telemetry/log_format.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "records.h"

namespace sockmesh::telemetry {

namespace {

std::string line(const model::MeshSettings& mesh, const ConnectionRecord& record,
                 std::vector<std::string>* warnings = nullptr) {
  std::vector<std::string> ignored;
  std::string out;
  LogFormat::of(mesh, warnings ? *warnings : ignored).append_line(out, record);
  return out;
}

std::string text(const std::string& format, const ConnectionRecord& record = some_record()) {
  std::vector<std::string> warnings;
  std::string out;
  LogFormat::text(format, warnings).append_line(out, record);
  CHECK(warnings.empty());
  return out;
}

}  // namespace

TEST_CASE("the default line is Istio's, 22 positions") {
  CHECK(line({}, some_record()) ==
        "[2026-08-22T10:11:12.345Z] \"- - -\" 0 - - - \"-\" 6 12 506 - \"-\" \"-\" \"-\" \"-\" "
        "\"10.12.0.12:5701\" outbound|5701||manager.manager.svc.cluster.local 10.12.0.11:51100 "
        "10.0.23.154:5701 10.12.0.11:47316 - -\n");
}

TEST_CASE("a refused connection shows its flags and no upstream address of ours") {
  CHECK(line({}, refused_record()) ==
        "[2026-08-22T10:11:12.345Z] \"- - -\" 0 UF,URX - - \"-\" 0 0 506 - \"-\" \"-\" \"-\" \"-\" "
        "\"10.12.0.12:5701\" outbound|5701||manager.manager.svc.cluster.local - 10.12.1.6:5701 "
        "10.12.0.11:47316 - -\n");
}

TEST_CASE("no filter chain: NR with its details, everything upstream absent") {
  ConnectionRecord record;
  record.started = some_time();
  record.flags.add(model::ResponseFlag::kNoRouteFound);
  record.details = "filter_chain_not_found";
  record.downstream_local = at("[fd00::2]:8080");
  record.downstream_remote = at("[fd00::1]:40000");
  CHECK(line({}, record) ==
        "[2026-08-22T10:11:12.345Z] \"- - -\" 0 NR filter_chain_not_found - \"-\" 0 0 0 - \"-\" \"-\" \"-\" "
        "\"-\" \"-\" - - [fd00::2]:8080 [fd00::1]:40000 - -\n");
}

TEST_CASE("compatibility 1.5 has the Mixer status in place of the two details") {
  CHECK(line({.compatibility_version = "1.5"}, some_record()) ==
        "[2026-08-22T10:11:12.345Z] \"- - -\" 0 - \"-\" \"-\" 6 12 506 - \"-\" \"-\" \"-\" \"-\" "
        "\"10.12.0.12:5701\" outbound|5701||manager.manager.svc.cluster.local 10.12.0.11:51100 "
        "10.0.23.154:5701 10.12.0.11:47316 - -\n");
}

TEST_CASE("JSON has Istio's keys, numbers as numbers, null where nothing is known, and the lane") {
  const auto json =
      nlohmann::json::parse(line({.access_log_encoding = model::AccessLogEncoding::kJson}, some_record()));
  const nlohmann::json expected = {
      {"start_time", "2026-08-22T10:11:12.345Z"},
      {"route_name", nullptr},
      {"method", nullptr},
      {"path", nullptr},
      {"protocol", nullptr},
      {"response_code", 0},
      {"response_flags", "-"},
      {"response_code_details", nullptr},
      {"connection_termination_details", nullptr},
      {"bytes_received", 6},
      {"bytes_sent", 12},
      {"duration", 506},
      {"upstream_service_time", nullptr},
      {"x_forwarded_for", nullptr},
      {"user_agent", nullptr},
      {"request_id", nullptr},
      {"authority", nullptr},
      {"upstream_host", "10.12.0.12:5701"},
      {"upstream_cluster", "outbound|5701||manager.manager.svc.cluster.local"},
      {"upstream_local_address", "10.12.0.11:51100"},
      {"downstream_local_address", "10.0.23.154:5701"},
      {"downstream_remote_address", "10.12.0.11:47316"},
      {"requested_server_name", nullptr},
      {"upstream_transport_failure_reason", nullptr},
      {"sockmesh_lane", "sk_skb"},
      {"sockmesh_connect_attempts", 1},
  };
  CHECK(json == expected);
}

TEST_CASE("a format of one's own ends its line, under JSON it names the keys") {
  CHECK(line({.access_log_format = "%BYTES_SENT% via %SOCKMESH_LANE%"}, some_record()) == "12 via sk_skb\n");
  CHECK(line({.access_log_encoding = model::AccessLogEncoding::kJson,
              .access_log_format =
                  R"({"to":"%UPSTREAM_HOST%","sum":"%BYTES_SENT%/%BYTES_RECEIVED%","n":"%DURATION%"})"},
             some_record()) == "{\"to\":\"10.12.0.12:5701\",\"sum\":\"12/6\",\"n\":506}\n");
}

TEST_CASE("a JSON format that is no object falls back to the default keys and says so") {
  std::vector<std::string> warnings;
  const auto json =
      line({.access_log_encoding = model::AccessLogEncoding::kJson, .access_log_format = "%DURATION%"},
           some_record(), &warnings);
  CHECK(nlohmann::json::parse(json).contains("start_time"));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("'%DURATION%': expected a JSON object") != std::string::npos);
}

TEST_CASE("an unknown operator prints a dash and is named") {
  std::vector<std::string> warnings;
  std::string out;
  LogFormat::text("a %NO_SUCH(x)% b %BYTES_SENT", warnings).append_line(out, some_record());
  CHECK(out == "a - b %BYTES_SENT");
  REQUIRE(warnings.size() == 2);
  CHECK(warnings[0] == "access log operator '%NO_SUCH%': not known here, prints '-'");
  CHECK(warnings[1] == "access log format: '%BYTES_SENT': expected a closing '%'");
}

TEST_CASE("operators: percent, maximum length, time formats, address parts") {
  CHECK(text("100%% %REQ(X?Y):10% %UPSTREAM_HOST%") == "100% - 10.12.0.12:5701");
  CHECK(text("%UPSTREAM_CLUSTER:8%") == "outbound");
  CHECK(text("%START_TIME(%s.%3f %H:%M:%S.%6f %f)%") == "1787393472.345 10:11:12.345000 345000000");
  CHECK(text("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT% %UPSTREAM_REMOTE_PORT%") ==
        "10.12.0.11 47316 5701");
  CHECK(text("%RESPONSE_FLAGS_LONG%", refused_record()) ==
        "UpstreamConnectionFailure,UpstreamRetryLimitExceeded");
  CHECK(text("%RESPONSE_FLAGS_LONG%") == "-");
}

TEST_CASE("bytes that are not UTF-8 never break a JSON line") {
  ConnectionRecord record = some_record();
  record.server_name = "a\xff\"b\n";
  const auto json =
      nlohmann::json::parse(line({.access_log_encoding = model::AccessLogEncoding::kJson}, record));
  CHECK(json["requested_server_name"] == "a\xef\xbf\xbd\"b\n");
}

}  // namespace sockmesh::telemetry
