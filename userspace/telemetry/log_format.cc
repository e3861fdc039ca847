#include "telemetry/log_format.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace sockmesh::telemetry {

const char kDefaultTextFormat[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% "
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% "
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

const char kOldTextFormat[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% "
    "%RESPONSE_FLAGS% \"%DYNAMIC_METADATA(istio.mixer:status)%\" \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" "
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" "
    "\"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

namespace {

// Istio's JSON keys, and ours after them.
const std::vector<std::pair<std::string, std::string>>& default_json_keys() {
  static const std::vector<std::pair<std::string, std::string>> keys = {
      {"start_time", "%START_TIME%"},
      {"route_name", "%ROUTE_NAME%"},
      {"method", "%REQ(:METHOD)%"},
      {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
      {"protocol", "%PROTOCOL%"},
      {"response_code", "%RESPONSE_CODE%"},
      {"response_flags", "%RESPONSE_FLAGS%"},
      {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
      {"connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"},
      {"bytes_received", "%BYTES_RECEIVED%"},
      {"bytes_sent", "%BYTES_SENT%"},
      {"duration", "%DURATION%"},
      {"upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"},
      {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"},
      {"user_agent", "%REQ(USER-AGENT)%"},
      {"request_id", "%REQ(X-REQUEST-ID)%"},
      {"authority", "%REQ(:AUTHORITY)%"},
      {"upstream_host", "%UPSTREAM_HOST%"},
      {"upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"},
      {"upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"},
      {"downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"},
      {"downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
      {"requested_server_name", "%REQUESTED_SERVER_NAME%"},
      {"upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"},
      {"sockmesh_lane", "%SOCKMESH_LANE%"},
      {"sockmesh_connect_attempts", "%SOCKMESH_CONNECT_ATTEMPTS%"},
  };
  return keys;
}

// MeshConfig's accessLogFormat under JSON is an object whose values are format strings.
std::optional<std::vector<std::pair<std::string, std::string>>> json_keys(
    const std::string& format, std::vector<std::string>& warnings) {
  const auto object = nlohmann::ordered_json::parse(format, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    warnings.push_back(
        fmt::format("accessLogFormat '{}': expected a JSON object, because accessLogEncoding "
                    "is JSON; the default keys are used",
                    format));
    return std::nullopt;
  }
  std::vector<std::pair<std::string, std::string>> keys;
  for (const auto& [key, value] : object.items()) {
    if (value.is_string()) {
      keys.emplace_back(key, value.get<std::string>());
    } else {
      warnings.push_back(
          fmt::format("accessLogFormat key '{}': {}: expected a text with operators", key, value.dump()));
    }
  }
  return keys;
}

void append_json_text(std::string& out, const std::string& text) {
  // Names come from configuration and from the wire (SNI): what is not UTF-8 is replaced, never refused.
  out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct Command {
  std::string_view name, argument;
  size_t max_length = 0;
};

// The operator that begins at the '%' at `at`; `at` moves behind it. Nothing when the text ends before it
// does.
std::optional<Command> next_command(std::string_view format, size_t& at) {
  const size_t name_begin = at + 1;
  const size_t name_end = format.find_first_of("(:%", name_begin);
  if (name_end == std::string_view::npos) return std::nullopt;
  Command command{.name = format.substr(name_begin, name_end - name_begin)};
  size_t end = name_end;
  if (format[end] == '(') {  // what is inside may itself contain '%'
    const size_t close = format.find(')', end);
    if (close == std::string_view::npos) return std::nullopt;
    command.argument = format.substr(end + 1, close - end - 1);
    end = close + 1;
  }
  const size_t last = format.find('%', end);
  if (last == std::string_view::npos) return std::nullopt;
  if (format[end] == ':')
    command.max_length = parse_number<size_t>(format.substr(end + 1, last - end - 1)).value_or(0);
  at = last + 1;
  return command;
}

}  // namespace

std::vector<LogFormat::Piece> LogFormat::compile(std::string_view format,
                                                 std::vector<std::string>& warnings) {
  std::vector<Piece> pieces;
  std::string literal;
  const auto flush = [&] {
    if (!literal.empty()) pieces.push_back({.literal = std::exchange(literal, {})});
  };
  for (size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      literal += format[at++];
    } else if (format.substr(at, 2) == "%%") {
      literal += '%';
      at += 2;
    } else if (const auto command = next_command(format, at)) {
      Operator value = log_operator(command->name, command->argument);
      if (!value) {
        warnings.push_back(
            fmt::format("access log operator '%{}%': not known here, prints '-'", command->name));
        value = [](const ConnectionRecord&) { return Value{}; };
      }
      flush();
      pieces.push_back({.value = std::move(value), .max_length = command->max_length});
    } else {
      warnings.push_back(fmt::format("access log format: '{}': expected a closing '%'", format.substr(at)));
      literal += format.substr(at);
      at = format.size();
    }
  }
  flush();
  return pieces;
}

void LogFormat::append_text(std::string& out, const std::vector<Piece>& pieces,
                            const ConnectionRecord& record) {
  for (const Piece& piece : pieces) {
    if (!piece.value) {
      out += piece.literal;
      continue;
    }
    const Value value = piece.value(record);
    const size_t begin = out.size();
    switch (value.kind) {
      case Value::Kind::kAbsent:
        out += '-';
        break;
      case Value::Kind::kText:
        out += value.text;
        break;
      case Value::Kind::kNumber:
        out += std::to_string(value.number);
        break;
    }
    if (piece.max_length > 0 && out.size() - begin > piece.max_length) out.resize(begin + piece.max_length);
  }
}

LogFormat LogFormat::text(std::string_view format, std::vector<std::string>& warnings) {
  LogFormat compiled;
  compiled.pieces_ = compile(format, warnings);
  return compiled;
}

LogFormat LogFormat::json(const std::vector<std::pair<std::string, std::string>>& keys,
                          std::vector<std::string>& warnings) {
  LogFormat compiled;
  for (const auto& [key, format] : keys) {
    Field field;
    append_json_text(field.key, key);
    field.key += ':';
    field.pieces = compile(format, warnings);
    compiled.fields_.push_back(std::move(field));
  }
  return compiled;
}

LogFormat LogFormat::of(const model::MeshSettings& mesh, std::vector<std::string>& warnings) {
  if (mesh.access_log_encoding == model::AccessLogEncoding::kJson) {
    if (!mesh.access_log_format.empty()) {
      if (const auto keys = json_keys(mesh.access_log_format, warnings)) return json(*keys, warnings);
    }
    return json(default_json_keys(), warnings);
  }
  if (!mesh.access_log_format.empty()) {
    // Istio ends the line itself when the format does not.
    const bool ends = mesh.access_log_format.back() == '\n';
    return text(ends ? mesh.access_log_format : mesh.access_log_format + "\n", warnings);
  }
  return text(mesh.compatibility_version == "1.5" ? kOldTextFormat : kDefaultTextFormat, warnings);
}

void LogFormat::append_line(std::string& out, const ConnectionRecord& record) const {
  if (fields_.empty()) return append_text(out, pieces_, record);
  char before = '{';
  for (const Field& field : fields_) {
    out += std::exchange(before, ',');
    out += field.key;
    if (field.pieces.size() == 1 && field.pieces[0].value && field.pieces[0].max_length == 0) {
      const Value value = field.pieces[0].value(record);
      if (value.kind == Value::Kind::kAbsent) out += "null";
      if (value.kind == Value::Kind::kNumber) out += std::to_string(value.number);
      if (value.kind == Value::Kind::kText) append_json_text(out, value.text);
    } else {
      std::string joined;
      append_text(joined, field.pieces, record);
      append_json_text(out, joined);
    }
  }
  out += "}\n";
}

}  // namespace sockmesh::telemetry
