#include "ctl/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/strings.h"

namespace sockmesh::ctl {

namespace {

// Whether YAML would read the bare text as something else than this text.
bool needs_quotes(const std::string& text) {
  if (text.empty() || text.front() == ' ' || text.back() == ' ' || text.back() == ':') return true;
  static const std::string special_first = "-?:,[]{}#&*!|>'\"%@`=~<";
  if (special_first.find(text.front()) != std::string::npos) return true;
  if (text.find(": ") != std::string::npos || text.find(" #") != std::string::npos) return true;
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    return true;
  const std::string lower = to_lower(text);
  for (const char* word : {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "~"})
    if (lower == word) return true;
  if (lower.starts_with("0x")) return true;
  // A number, a time, an address: something that looks like the start of a number.
  return text.find_first_not_of("0123456789.+-eE_:") == std::string::npos &&
         std::any_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string scalar(const Json& value) {
  if (!value.is_string()) return value.dump();
  const auto& text = value.get_ref<const std::string&>();
  return needs_quotes(text) ? value.dump(-1, ' ', false, Json::error_handler_t::replace) : text;
}

bool is_block(const Json& value) { return value.is_structured() && !value.empty(); }

void append(std::string& out, const Json& value, size_t indent);

// What stands behind "key:" or "-": a scalar on the same line, or a block on the next ones.
void append_member(std::string& out, const Json& value, size_t indent) {
  if (!is_block(value)) {
    out += " " + scalar(value) + "\n";
    return;
  }
  out += "\n";
  append(out, value, indent);
}

void append(std::string& out, const Json& value, size_t indent) {
  const std::string blanks(indent, ' ');
  if (value.is_object()) {
    std::vector<std::string> keys;
    for (const auto& [key, member] : value.items()) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    for (const std::string& key : keys) {
      out += blanks + scalar(key) + ":";
      const Json& member = value[key];
      // Lists stand at the level of their key, as Go's writer puts them.
      append_member(out, member, member.is_array() ? indent : indent + 2);
    }
    return;
  }
  for (const Json& item : value) {
    if (!is_block(item)) {
      out += blanks + "- " + scalar(item) + "\n";
      continue;
    }
    std::string block;
    append(block, item, indent + 2);
    block[indent] = '-';  // the first line of the item carries the dash
    out += block;
  }
}

}  // namespace

std::string json_text(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string yaml_text(const Json& value) {
  if (!is_block(value)) return scalar(value) + "\n";
  std::string out;
  append(out, value, 0);
  return out;
}

std::string cell(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string cell_or_dash(const Json& object, const char* key) {
  std::string text = cell(object, key);
  return text.empty() ? "-" : text;
}

std::string object_text(const Json& object) {
  if (!object.is_object()) return {};
  std::string text = cell(object, "kind");
  const std::string ns = cell(object, "namespace"), name = cell(object, "name");
  if (!name.empty()) text += " " + (ns.empty() ? name : ns + "/" + name);
  const std::string file = cell(object, "file"), line = cell(object, "line");
  if (!file.empty()) text += line.empty() ? fmt::format(" ({})", file) : fmt::format(" ({}:{})", file, line);
  return text;
}

std::string age_text(double seconds) {
  if (seconds < 1) return fmt::format("{}ms", static_cast<int64_t>(std::floor(seconds * 1000)));
  const auto whole = static_cast<int64_t>(seconds);
  const int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  if (days > 0) return fmt::format("{}d{}h", days, hours);
  if (hours > 0) return fmt::format("{}h{}m", hours, minutes);
  if (minutes > 0) return fmt::format("{}m{}s", minutes, whole % 60);
  return fmt::format("{}s", whole);
}

}  // namespace sockmesh::ctl
