// The command operators of the access log: each name with the function that reads its value from a record.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <map>

#include "telemetry/log_format.h"

namespace sockmesh::telemetry {

namespace {

using Value = LogFormat::Value;
using Kind = LogFormat::Value::Kind;
using Record = ConnectionRecord;

Value absent(const Record&) { return {}; }
Value number(uint64_t n) { return {Kind::kNumber, {}, n}; }
Value exactly(std::string text) { return {Kind::kText, std::move(text), 0}; }
Value text(std::string value) { return value.empty() ? Value{} : exactly(std::move(value)); }

// Envoy keeps a field without blanks, so that lines split by them stay in step: "delayed_connect_error:_...".
Value one_word(std::string value) {
  std::replace(value.begin(), value.end(), ' ', '_');
  return text(std::move(value));
}

Value address(const SocketAddress& a) { return exactly(a.to_string()); }
Value ip(const SocketAddress& a) { return exactly(a.ip.to_string()); }
Value port(const SocketAddress& a) { return number(a.port); }

Value upstream_host(const Record& r) {
  return r.upstream_host ? text(model::to_string(*r.upstream_host)) : Value{};
}
template <Value (*Part)(const SocketAddress&)>
Value upstream_remote(const Record& r) {
  const auto* a = r.upstream_host ? std::get_if<SocketAddress>(&*r.upstream_host) : nullptr;
  return a ? Part(*a) : Value{};
}
template <Value (*Part)(const SocketAddress&)>
Value upstream_local(const Record& r) {
  return r.upstream_local ? Part(*r.upstream_local) : Value{};
}
template <Value (*Part)(const SocketAddress&)>
Value downstream_local(const Record& r) {
  return Part(r.downstream_local);
}
template <Value (*Part)(const SocketAddress&)>
Value downstream_remote(const Record& r) {
  return Part(r.downstream_remote);
}

// strftime of the UTC time, with Envoy's fractions: %3f, %6f, %9f digits of the second, %s epoch seconds.
std::string format_time(WallTime time, const std::string& format) {
  using namespace std::chrono;
  const auto since_epoch = duration_cast<nanoseconds>(time.time_since_epoch());
  const auto seconds = floor<std::chrono::seconds>(since_epoch);
  const std::string nanos = fmt::format("{:09}", (since_epoch - seconds).count());
  const std::time_t whole = seconds.count();
  std::tm parts{};
  gmtime_r(&whole, &parts);

  std::string plain;  // what strftime does not know, replaced
  for (size_t i = 0; i < format.size(); ++i) {
    const std::string_view rest = std::string_view(format).substr(i);
    if (rest.size() >= 3 && rest[0] == '%' && rest[1] >= '1' && rest[1] <= '9' && rest[2] == 'f') {
      plain += nanos.substr(0, static_cast<size_t>(rest[1] - '0'));
      i += 2;
    } else if (rest.substr(0, 2) == "%f") {
      plain += nanos;
      i += 1;
    } else if (rest.substr(0, 2) == "%s") {
      plain += std::to_string(whole);
      i += 1;
    } else {
      plain += format[i];
    }
  }
  std::array<char, 256> buffer;
  return {buffer.data(), std::strftime(buffer.data(), buffer.size(), plain.c_str(), &parts)};
}

const std::string& host_name() {
  static const std::string name = [] {
    std::array<char, 256> buffer{};
    ::gethostname(buffer.data(), buffer.size() - 1);
    return std::string(buffer.data());
  }();
  return name;
}

std::string long_flags(const Record& r) {
  static const std::map<std::string, std::string, std::less<>> names = {{"UH", "NoHealthyUpstream"},
                                                                        {"UF", "UpstreamConnectionFailure"},
                                                                        {"UO", "UpstreamOverflow"},
                                                                        {"URX", "UpstreamRetryLimitExceeded"},
                                                                        {"NR", "NoRouteFound"},
                                                                        {"NC", "NoClusterFound"},
                                                                        {"DT", "DurationTimeout"},
                                                                        {"UR", "UpstreamRemoteReset"},
                                                                        {"OM", "OverloadManagerTerminated"}};
  std::string joined;
  const std::string flags = r.flags.to_string();
  for (size_t begin = 0; begin < flags.size();) {
    const size_t end = std::min(flags.find(',', begin), flags.size());
    const auto name = names.find(std::string_view(flags).substr(begin, end - begin));
    if (name != names.end()) joined += (joined.empty() ? "" : ",") + name->second;
    begin = end + 1;
  }
  return joined;
}

uint64_t milliseconds(Duration duration) {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

using Reader = Value (*)(const Record&);
const std::map<std::string_view, Reader>& readers() {
  static const std::map<std::string_view, Reader> table = {
      {"BYTES_RECEIVED", [](const Record& r) { return number(r.bytes_received); }},
      {"BYTES_SENT", [](const Record& r) { return number(r.bytes_sent); }},
      {"DURATION", [](const Record& r) { return number(milliseconds(r.duration)); }},
      {"CONNECTION_ID", [](const Record& r) { return number(r.id); }},
      {"RESPONSE_CODE", [](const Record&) { return number(0); }},  // Envoy's answer where HTTP never ran
      {"RESPONSE_FLAGS", [](const Record& r) { return exactly(r.flags.to_string()); }},
      {"RESPONSE_FLAGS_LONG", [](const Record& r) { return text(long_flags(r)); }},
      {"RESPONSE_CODE_DETAILS", [](const Record& r) { return text(r.details); }},
      {"CONNECTION_TERMINATION_DETAILS", [](const Record& r) { return text(r.termination_details); }},
      {"UPSTREAM_TRANSPORT_FAILURE_REASON", [](const Record& r) { return one_word(r.transport_failure); }},
      {"UPSTREAM_HOST", upstream_host},
      {"UPSTREAM_CLUSTER", [](const Record& r) { return text(r.cluster); }},
      {"UPSTREAM_CLUSTER_RAW", [](const Record& r) { return text(r.cluster); }},
      {"UPSTREAM_REMOTE_ADDRESS", upstream_host},
      {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", upstream_remote<ip>},
      {"UPSTREAM_REMOTE_PORT", upstream_remote<port>},
      {"UPSTREAM_LOCAL_ADDRESS", upstream_local<address>},
      {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", upstream_local<ip>},
      {"UPSTREAM_LOCAL_PORT", upstream_local<port>},
      {"DOWNSTREAM_LOCAL_ADDRESS", downstream_local<address>},
      {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", downstream_local<ip>},
      {"DOWNSTREAM_LOCAL_PORT", downstream_local<port>},
      {"DOWNSTREAM_REMOTE_ADDRESS", downstream_remote<address>},
      {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", downstream_remote<ip>},
      {"DOWNSTREAM_REMOTE_PORT", downstream_remote<port>},
      {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", downstream_remote<address>},
      {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", downstream_remote<ip>},
      {"DOWNSTREAM_DIRECT_REMOTE_PORT", downstream_remote<port>},
      {"REQUESTED_SERVER_NAME", [](const Record& r) { return text(r.server_name); }},
      {"ROUTE_NAME", [](const Record& r) { return text(r.route_name); }},
      {"FILTER_CHAIN_NAME", [](const Record& r) { return text(r.filter_chain); }},
      {"UPSTREAM_REQUEST_ATTEMPT_COUNT", [](const Record& r) { return number(r.connect_attempts); }},
      {"HOSTNAME", [](const Record&) { return text(host_name()); }},
      // Ours.
      {"SOCKMESH_LANE", [](const Record& r) { return r.lane ? text(to_string(*r.lane)) : text(""); }},
      {"SOCKMESH_LANE_REASON", [](const Record& r) { return text(r.lane_reason); }},
      {"SOCKMESH_SPLICED_RECEIVED",
       [](const Record& r) { return number(r.moved[model::Lane::kSkSkb].received); }},
      {"SOCKMESH_SPLICED_SENT", [](const Record& r) { return number(r.moved[model::Lane::kSkSkb].sent); }},
      {"SOCKMESH_CLOSE_REASON", [](const Record& r) { return text(r.close_reason); }},
      {"SOCKMESH_LISTENER", [](const Record& r) { return text(r.listener); }},
      {"SOCKMESH_CONNECT_ATTEMPTS", [](const Record& r) { return number(r.connect_attempts); }},
      // What HTTP, TLS termination or another filter would fill.
      {"REQ", absent},
      {"RESP", absent},
      {"TRAILER", absent},
      {"PROTOCOL", absent},
      {"UPSTREAM_PROTOCOL", absent},
      {"DYNAMIC_METADATA", absent},
      {"FILTER_STATE", absent},
      {"METADATA", absent},
      {"RESPONSE_DURATION", absent},
      {"REQUEST_DURATION", absent},
      {"RESPONSE_TX_DURATION", absent},
      {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", absent},
      {"DOWNSTREAM_PEER_URI_SAN", absent},
      {"DOWNSTREAM_PEER_SUBJECT", absent},
      {"DOWNSTREAM_TLS_VERSION", absent},
      {"DOWNSTREAM_TLS_CIPHER", absent},
      {"VIRTUAL_CLUSTER_NAME", absent},
      {"GRPC_STATUS", absent},
  };
  return table;
}

}  // namespace

LogFormat::Operator log_operator(std::string_view name, std::string_view argument) {
  if (name == "START_TIME") {
    std::string format = argument.empty() ? "%Y-%m-%dT%H:%M:%S.%3fZ" : std::string(argument);
    return [format](const Record& r) { return exactly(format_time(r.started, format)); };
  }
  if (name == "ENVIRONMENT") {
    const char* value = std::getenv(std::string(argument).c_str());
    return [fixed = std::string(value ? value : "")](const Record&) { return text(fixed); };
  }
  const auto reader = readers().find(name);
  if (reader == readers().end()) return {};
  return reader->second;
}

}  // namespace sockmesh::telemetry
