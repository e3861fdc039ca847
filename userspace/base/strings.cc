#include "base/strings.h"

#include <cmath>

namespace sockmesh {

std::vector<std::string_view> split(std::string_view text, char separator, bool skip_empty) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    const std::string_view part = text.substr(0, at);
    if (!skip_empty || !part.empty()) parts.push_back(part);
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

namespace {
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
}  // namespace

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

Result<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  const auto wrong = [&] { return fail("'{}': expected a duration such as 10s, 1h30m or 250ms", text); };
  if (text == "0") return std::chrono::nanoseconds{0};
  if (text.empty()) return wrong();
  double total = 0;  // ns; a double holds every duration below 100 days to the microsecond
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t digits = rest.find_first_not_of("0123456789.");
    if (digits == 0 || digits == std::string_view::npos) return wrong();
    double number = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + digits, number);
    if (error != std::errc{} || stop != rest.data() + digits) return wrong();
    rest.remove_prefix(digits);
    const size_t unit_length = std::min(rest.find_first_of("0123456789."), rest.size());
    const std::string_view unit = rest.substr(0, unit_length);
    rest.remove_prefix(unit_length);
    double scale;
    if (unit == "h")
      scale = 3600e9;
    else if (unit == "m")
      scale = 60e9;
    else if (unit == "s")
      scale = 1e9;
    else if (unit == "ms")
      scale = 1e6;
    else if (unit == "us" || unit == "\xc2\xb5s")
      scale = 1e3;
    else if (unit == "ns")
      scale = 1;
    else
      return wrong();
    total += number * scale;
  }
  if (total > 9e18) return wrong();
  return std::chrono::nanoseconds{std::llround(total)};
}

}  // namespace sockmesh
