#include "config/manifest/formats.h"

#include <algorithm>
#include <ctime>

namespace sockmesh::config::formats {

namespace {

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// A label of a DNS name. Case is let pass: DNS does, and lookups compare lower case. '_' too: it occurs.
bool is_dns_label(std::string_view text) {
  return !text.empty() && text.size() <= 63 && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
}

bool is_dns_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > 253) return false;
  const auto labels = split(text, '.');
  return std::all_of(labels.begin(), labels.end(), is_dns_label);
}

// A whole number without sign and without leading zeros, which YAML 1.1 would take for octal.
template <typename T>
std::optional<T> whole(std::string_view text) {
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return parse_number<T>(text);
}

template <typename T>
Result<T> number_between(std::string_view text, T low, T high, std::string_view what) {
  const auto value = whole<T>(text);
  if (!value || *value < low || *value > high) {
    return fail("{}: expected {} from {} to {}", quoted(text), what, low, high);
  }
  return *value;
}

}  // namespace

Result<std::string> text(std::string_view text) { return std::string(text); }

Result<std::string> object_name(std::string_view text) {
  if (!is_dns_name(text)) return fail("{}: expected a DNS name such as tcp-echo", quoted(text));
  return std::string(text);
}

Result<std::string> namespace_name(std::string_view text) {
  if (!is_dns_label(text)) return fail("{}: expected a namespace, a DNS label such as default", quoted(text));
  return std::string(text);
}

Result<std::string> host(std::string_view text) {
  if (!is_dns_name(text)) return fail("{}: expected a host name such as db.example.com", quoted(text));
  return std::string(text);
}

Result<std::string> host_or_ip(std::string_view text) {
  if (!is_dns_name(text) && !IpAddress::parse(text)) {
    return fail("{}: expected a host name or an IP address", quoted(text));
  }
  return std::string(text);
}

Result<std::string> wildcard_host(std::string_view text) {
  const std::string_view rest = text.starts_with("*.") ? text.substr(2) : text;
  if (text != "*" && !is_dns_name(rest) && !IpAddress::parse(rest)) {
    return fail("{}: expected a host name such as db.example.com, *.example.com or *", quoted(text));
  }
  return std::string(text);
}

Result<std::string> workload_address(std::string_view text) {
  constexpr std::string_view kUnix = "unix://";
  if (text.starts_with(kUnix)) {
    const std::string_view path = text.substr(kUnix.size());
    // sun_path holds 107 bytes and its end; "@" is the abstract namespace.
    if (path.size() < 2 || path.size() > 107 || (path[0] != '/' && path[0] != '@')) {
      return fail("{}: expected unix:// and an absolute path of at most 107 bytes", quoted(text));
    }
    return std::string(text);
  }
  if (!is_dns_name(text) && !IpAddress::parse(text)) {
    return fail("{}: expected an IP address, a host name or unix:///path", quoted(text));
  }
  return std::string(text);
}

Result<std::string> ip_text(std::string_view text) {
  SOCKMESH_TRY(address, IpAddress::parse(text));
  return address.to_string();
}

Result<std::string> port_name(std::string_view text) {
  if (!is_dns_label(text)) return fail("{}: expected a port name such as tcp-echo", quoted(text));
  return std::string(text);
}

Result<uint16_t> port(std::string_view text) {
  return number_between<uint16_t>(text, 1, 65535, "a port number");
}

Result<uint32_t> count(std::string_view text) {
  return number_between<uint32_t>(text, 0, UINT32_MAX, "a whole number");
}

Result<uint32_t> positive(std::string_view text) {
  return number_between<uint32_t>(text, 1, UINT32_MAX, "a whole number");
}

Result<uint32_t> percent(std::string_view text) {
  return number_between<uint32_t>(text, 0, 100, "a percentage");
}

Result<int64_t> weight(std::string_view text) {
  return number_between<int64_t>(text, 0, INT32_MAX, "a weight");
}

Result<double> decimal(std::string_view text) {
  const auto value = parse_number<double>(text);
  if (!value || !(*value > 0) || *value > 1e9) return fail("{}: expected a number above zero", quoted(text));
  return *value;
}

Result<bool> boolean(std::string_view text) {
  // YAML 1.1's words as well: kubectl reads them so.
  for (const std::string_view word : {"true", "yes", "on"}) {
    if (equals_ignore_case(text, word)) return true;
  }
  for (const std::string_view word : {"false", "no", "off"}) {
    if (equals_ignore_case(text, word)) return false;
  }
  return fail("{}: expected true or false", quoted(text));
}

Result<Duration> duration(std::string_view text) { return parse_duration(text); }

Result<Duration> positive_duration(std::string_view text) {
  SOCKMESH_TRY(value, parse_duration(text));
  if (value < std::chrono::milliseconds(1))
    return fail("{}: expected a duration of 1ms or more", quoted(text));
  return value;
}

Result<std::chrono::seconds> whole_seconds(std::string_view text) {
  SOCKMESH_TRY(value, parse_duration(text));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(value);
  if (seconds < std::chrono::seconds(1) || seconds != value) {
    return fail("{}: expected whole seconds, 1s or more", quoted(text));
  }
  return seconds;
}

Result<IpAddress> ip(std::string_view text) { return IpAddress::parse(text); }

Result<Prefix> prefix(std::string_view text) { return Prefix::parse(text); }

Result<WallTime> timestamp(std::string_view text) {
  const auto wrong = [&] { return fail("{}: expected a time such as 2023-10-29T16:47:30Z", quoted(text)); };
  const std::string copy(text);
  std::tm parts{};
  const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (!rest || parts.tm_year < 70 || parts.tm_year > 300)
    return wrong();  // 1970 to 2200: nanoseconds hold it
  double fraction = 0;
  if (*rest == '.') {
    const char* digits = rest++;
    while (*rest >= '0' && *rest <= '9') ++rest;
    const auto value = parse_number<double>("0" + std::string(digits, rest));
    if (!value || rest - digits < 2) return wrong();
    fraction = *value;
  }
  long offset = 0;  // seconds east of UTC
  const std::string_view zone(rest);
  if (zone != "Z" && zone != "z") {
    if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') return wrong();
    const auto hours = parse_number<int>(zone.substr(1, 2)), minutes = parse_number<int>(zone.substr(4, 2));
    if (!hours || !minutes || *hours > 23 || *minutes > 59 || *hours < 0 || *minutes < 0) return wrong();
    offset = (*hours * 60L + *minutes) * 60 * (zone[0] == '-' ? -1 : 1);
  }
  const auto whole_part = std::chrono::system_clock::from_time_t(timegm(&parts) - offset);
  return whole_part + std::chrono::duration_cast<WallTime::duration>(std::chrono::duration<double>(fraction));
}

}  // namespace sockmesh::config::formats
