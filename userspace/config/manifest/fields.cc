#include "config/manifest/fields.h"

#include <algorithm>

#include "base/strings.h"
#include "base/utf8.h"

namespace sockmesh::config {

namespace {

// Keys and values of any length occur in paths and messages, which are kept.
constexpr size_t kMaxPath = 300, kMaxText = 500;  // bytes

bool is_bool_word(std::string_view text) {
  for (const std::string_view word : {"true", "false", "yes", "no", "on", "off"}) {
    if (equals_ignore_case(text, word)) return true;
  }
  return false;
}

// What YAML (1.1 or 1.2) takes for a number when it has no quotes.
bool is_number(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty() || !(text[0] == '.' || (text[0] >= '0' && text[0] <= '9'))) return false;
  if (text.starts_with("0x") || text.starts_with("0o")) {
    return text.size() > 2 && text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
  }
  if (text == ".inf" || text == ".nan") return true;
  double value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error != std::errc::invalid_argument && stop == text.data() + text.size();
}

}  // namespace

std::string quoted(std::string_view text) { return fmt::format("'{}'", printable(text, 80)); }

void ReadContext::report(int line, std::string_view field, std::string_view text) {
  if (pinned_line_ > 0) line = pinned_line_;
  last_listed_ = report_.problems.add(
      {file_, line, object_, printable(field, kMaxPath), printable(text, kMaxText), false});
}

void ReadContext::drop_object() {
  dropped_ = true;
  report_.left_out.insert(object_);
  if (last_listed_) report_.problems.first.back().object_dropped = true;
}

const yaml::Node* Fields::find(std::string_view key) const {
  const yaml::Node* value = node_ ? node_->find(key) : nullptr;
  return value && !value->is_null() ? value : nullptr;
}

bool Fields::has(std::string_view key) const { return find(key) != nullptr; }

Fields Fields::child(std::string_view key) const {
  const yaml::Node* value = find(key);
  if (value && !value->is_mapping()) {
    report(key, fmt::format("{}: expected a mapping of fields",
                            value->is_scalar() ? quoted(value->text) : std::string("a list")));
    value = nullptr;
  }
  return Fields(value, *context_, this, key);
}

std::string Fields::path(std::string_view key, size_t index) const {
  std::string out;
  if (parent_) {
    out = parent_->path(key_, index_);
  }
  if (!key.empty()) out += (out.empty() ? "" : ".") + std::string(key);
  if (index != kNoIndex) out += fmt::format("[{}]", index);
  return out;
}

void Fields::report(std::string_view key, std::string_view text) const {
  int line = this->line();
  if (!key.empty() && node_) {
    for (const yaml::Member& member : node_->members) {
      if (member.key == key) line = member.line;
    }
  }
  report_at(line, key, kNoIndex, text);
}

void Fields::report_at(int line, std::string_view key, size_t index, std::string_view text) const {
  context_->report(line, path(key, index), text);
}

bool Fields::settle(Need need, std::string_view key) const {
  if (need == kOptional || need == kVital) return true;
  report_at(line(), key, kNoIndex, "missing: expected a value");
  return broken(need);
}

bool Fields::broken(Need need) const {
  if (need == kVital || need == kRequiredVital) context_->drop_object();
  return false;
}

bool Fields::expect_sequence(std::string_view key, const yaml::Node& value) const {
  if (value.is_sequence()) return true;
  report_at(
      value.line, key, kNoIndex,
      fmt::format("{}: expected a list", value.is_scalar() ? quoted(value.text) : std::string("a mapping")));
  return false;
}

bool Fields::expect_mapping() const {
  if (node_->is_mapping()) return true;
  context_->report(node_->line, path({}),
                   fmt::format("{}: expected a mapping of fields",
                               node_->is_scalar() ? quoted(node_->text) : std::string("not one")));
  return false;
}

bool Fields::expect_scalar(const yaml::Node& value, ScalarType type, std::string_view key,
                           size_t index) const {
  if (!value.is_scalar()) {
    report_at(value.line, key, index,
              fmt::format("{}: expected one value", value.is_sequence()  ? "a list"
                                                    : value.is_mapping() ? "a mapping"
                                                                         : "nothing"));
    return false;
  }
  const bool typed = value.plain && (is_number(value.text) || is_bool_word(value.text));
  if (type == ScalarType::kText && typed) {
    report_at(value.line, key, index,
              fmt::format("{}: expected text; without quotes YAML takes this for a {}", quoted(value.text),
                          is_bool_word(value.text) ? "boolean" : "number"));
  } else if ((type == ScalarType::kNumber || type == ScalarType::kBool) && !value.plain) {
    report_at(value.line, key, index,
              fmt::format("\"{}\": expected a {} without quotes", printable(value.text, 80),
                          type == ScalarType::kNumber ? "number" : "boolean"));
  }
  return true;
}

}  // namespace sockmesh::config
