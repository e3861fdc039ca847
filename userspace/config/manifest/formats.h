// The formats of single values in manifests: what text is a port, a host, a duration... Each refuses with a
// message that quotes the value and says what was expected. Values, any thread. See Fields (fields.h).
#pragma once

#include <array>

#include "base/address.h"
#include "base/clock.h"
#include "base/strings.h"
#include "config/manifest/fields.h"
#include "model/snapshot.h"

namespace sockmesh::config {

template <typename T, ScalarType Type, Result<T> (*Parse)(std::string_view)>
struct Format {
  static constexpr ScalarType type = Type;
  Result<T> operator()(std::string_view text) const { return Parse(text); }
};

// One of a fixed set of words, each standing for a T.
template <typename T, size_t N>
struct Choice {
  static constexpr ScalarType type = ScalarType::kText;
  std::array<std::pair<std::string_view, T>, N> words;

  Result<T> operator()(std::string_view text) const {
    std::string expected;
    for (const auto& [word, value] : words) {
      if (word == text) return value;
      expected += expected.empty() ? "" : ", ";
      expected += word;
    }
    return fail("{}: expected one of {}", quoted(text), expected);
  }
};
template <typename T, typename... More>
Choice(T, More...) -> Choice<typename T::second_type, 1 + sizeof...(More)>;

// One of a fixed set of words, kept as written.
template <size_t N>
struct Words {
  static constexpr ScalarType type = ScalarType::kText;
  std::array<std::string_view, N> words;

  Result<std::string> operator()(std::string_view text) const {
    std::string expected;
    for (const std::string_view word : words) {
      if (word == text) return std::string(text);
      expected += expected.empty() ? "" : ", ";
      expected += word;
    }
    return fail("{}: expected one of {}", quoted(text), expected);
  }
};
template <typename... Text>
Words(Text...) -> Words<sizeof...(Text)>;

namespace formats {
Result<std::string> text(std::string_view);
Result<std::string> object_name(std::string_view);
Result<std::string> namespace_name(std::string_view);
Result<std::string> host(std::string_view);
Result<std::string> host_or_ip(std::string_view);
Result<std::string> wildcard_host(std::string_view);
Result<std::string> workload_address(std::string_view);
Result<std::string> ip_text(std::string_view);
Result<std::string> port_name(std::string_view);
Result<uint16_t> port(std::string_view);
Result<uint32_t> count(std::string_view);
Result<uint32_t> positive(std::string_view);
Result<uint32_t> percent(std::string_view);
Result<int64_t> weight(std::string_view);
Result<double> decimal(std::string_view);
Result<bool> boolean(std::string_view);
Result<Duration> duration(std::string_view);
Result<Duration> positive_duration(std::string_view);
Result<std::chrono::seconds> whole_seconds(std::string_view);
Result<IpAddress> ip(std::string_view);
Result<Prefix> prefix(std::string_view);
Result<WallTime> timestamp(std::string_view);
}  // namespace formats

inline constexpr Format<std::string, ScalarType::kText, formats::text> kText;
// Names of objects (RFC 1123 subdomains) and of namespaces (labels).
inline constexpr Format<std::string, ScalarType::kText, formats::object_name> kObjectName;
inline constexpr Format<std::string, ScalarType::kText, formats::namespace_name> kNamespaceName;
inline constexpr Format<std::string, ScalarType::kText, formats::host> kHost;  // "a.b", no wildcard
inline constexpr Format<std::string, ScalarType::kText, formats::host_or_ip> kHostOrIp;
inline constexpr Format<std::string, ScalarType::kText, formats::wildcard_host>
    kWildcardHost;  // "*", "*.a.b" too
inline constexpr Format<std::string, ScalarType::kText, formats::workload_address> kWorkloadAddress;
inline constexpr Format<std::string, ScalarType::kText, formats::ip_text> kIpText;  // kept as written
inline constexpr Format<std::string, ScalarType::kText, formats::port_name> kPortName;
inline constexpr Format<uint16_t, ScalarType::kNumber, formats::port> kPort;          // 1..65535
inline constexpr Format<uint32_t, ScalarType::kNumber, formats::count> kCount;        // 0..2^32-1
inline constexpr Format<uint32_t, ScalarType::kNumber, formats::positive> kPositive;  // 1..2^32-1
inline constexpr Format<uint32_t, ScalarType::kNumber, formats::percent> kPercent;    // 0..100
inline constexpr Format<int64_t, ScalarType::kNumber, formats::weight> kWeight;       // 0..2^31-1
inline constexpr Format<double, ScalarType::kNumber, formats::decimal> kDecimal;      // positive
inline constexpr Format<bool, ScalarType::kBool, formats::boolean> kBool;
inline constexpr Format<Duration, ScalarType::kText, formats::duration> kDuration;  // 0 allowed: "off"
inline constexpr Format<Duration, ScalarType::kText, formats::positive_duration>
    kPositiveDuration;  // 1 ms at least
inline constexpr Format<std::chrono::seconds, ScalarType::kText, formats::whole_seconds>
    kWholeSeconds;  // 1 s at least
inline constexpr Format<IpAddress, ScalarType::kText, formats::ip> kIp;
inline constexpr Format<Prefix, ScalarType::kText, formats::prefix> kPrefix;
inline constexpr Format<WallTime, ScalarType::kText, formats::timestamp> kTimestamp;  // RFC 3339

}  // namespace sockmesh::config
