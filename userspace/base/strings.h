// Small text helpers: splitting, trimming, numbers, durations, shell-like globs. Pure, any thread.
#pragma once

#include <charconv>
#include <chrono>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sockmesh {

// The parts between `separator`s; empty parts are kept unless `skip_empty`.
std::vector<std::string_view> split(std::string_view text, char separator, bool skip_empty = false);
// The parts would outlive a temporary.
template <std::same_as<std::string> T>
void split(T&& text, char separator, bool skip_empty = false) = delete;
std::string_view trim(std::string_view text);  // blanks, tabs, CR, LF at both ends
std::string to_lower(std::string_view text);   // ASCII
bool equals_ignore_case(std::string_view a, std::string_view b);
std::string join(const std::vector<std::string>& parts, std::string_view separator);

// The whole of `text` as a decimal number that fits T; nothing else (no blanks, no sign for unsigned types).
template <typename T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || text.empty()) return std::nullopt;
  return value;
}

// Go's duration text, as Istio and Kubernetes write it: "10s", "1h30m", "250ms", "1.5s", "0". Not negative.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

}  // namespace sockmesh
