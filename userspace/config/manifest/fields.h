// Fields: typed access to one mapping of a manifest. A field that is absent leaves the target as it was; one
// that cannot be read becomes a problem with its line, its path, the value and what was expected, and leaves
// the target as it was too. What that means for the object is the reader's to say, per field:
//
//   in.read("port", port.number, kPort, kRequired);          // false: the caller leaves this entry out
//   in.read("resolution", entry.resolution, kResolutions, kVital);  // broken: the whole object is left out
//
// A format is a small value with the kind of scalar it wants and how its text becomes a T. Single-threaded.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/manifest/reader.h"
#include "config/manifest/yaml.h"

namespace sockmesh::config {

// Collects the problems of one object.
class ReadContext {
 public:
  ReadContext(const std::string& file, ReadReport& report) : file_(file), report_(report) {}

  void begin_object(std::string name) { object_ = std::move(name), dropped_ = false; }
  // Every problem until pin_line(0) is reported there: for text whose lines are not those of the file.
  void pin_line(int line) { pinned_line_ = line; }
  void report(int line, std::string_view field, std::string_view text);
  void count(size_t problems) { report_.problems.count += problems; }  // that are not told one by one
  void drop_object();                                                  // the last problem reported is why
  bool dropped() const { return dropped_; }

 private:
  const std::string& file_;
  ReadReport& report_;
  bool last_listed_ = false;  // the last problem is among the first of its list
  std::string object_;
  int pinned_line_ = 0;
  bool dropped_ = false;
};

enum class ScalarType : uint8_t { kText, kNumber, kBool, kNumberOrText };

// What a broken field does. kRequired: absent is broken too.
enum class Need : uint8_t { kOptional = 0, kRequired = 1, kVital = 2, kRequiredVital = 3 };
using enum Need;

class Fields {
 public:
  // `node` null: nothing is there. Both must outlive the Fields.
  Fields(const yaml::Node* node, ReadContext& context) : node_(node), context_(&context) {}

  bool present() const { return node_ != nullptr && !node_->is_null(); }
  int line() const { return node_ ? node_->line : parent_ ? parent_->line() : 0; }
  bool has(std::string_view key) const;  // there, and not null
  ReadContext& context() const { return *context_; }

  // These return false when the field is broken; an absent one is only when it is required.
  template <typename T, typename Format>
  bool read(std::string_view key, T& out, const Format& format, Need need = kOptional) const {
    const yaml::Node* value = find(key);
    if (!value) return settle(need, key);
    auto parsed = parse(key, *value, format);
    if (!parsed) return broken(need);
    out = std::move(*parsed);
    return true;
  }
  // A list of scalars; items that cannot be read are left out. `need` speaks of the list: it is broken when
  // it is no list, or when items were left out and none remains.
  template <typename T, typename Format>
  bool list(std::string_view key, std::vector<T>& out, const Format& format, Need need = kOptional) const {
    const yaml::Node* value = find(key);
    if (!value) return settle(need, key);
    if (!expect_sequence(key, *value)) return broken(need);
    size_t index = 0;
    for (const yaml::Member& item : value->members) {
      if (auto parsed = Fields(value, *context_, this, key).parse_item(index++, *item.value, format)) {
        out.push_back(std::move(*parsed));
      }
    }
    return !value->members.empty() && out.empty() ? broken(need) : true;
  }
  // A mapping of text to scalars, entries that cannot be read left out: false when there was one.
  template <typename Map, typename Format>
  bool map(std::string_view key, Map& out, const Format& format, Need need = kOptional) const {
    const yaml::Node* value = find(key);
    if (!value) return settle(need, key);
    const Fields inner = child(key);
    if (!inner.present()) return broken(need);
    bool good = true;
    for (const yaml::Member& member : value->members) {
      if (auto parsed = inner.parse(member.key, *member.value, format)) {
        out[std::string(member.key)] = std::move(*parsed);
      } else {
        good = false;
      }
    }
    return good || broken(need);
  }
  // A list of mappings: `each` reads one and returns false to say that it, as one, is of no use.
  template <typename Each>
  bool each(std::string_view key, const Each& each, Need need = kOptional) const {
    const yaml::Node* value = find(key);
    if (!value) return settle(need, key);
    if (!expect_sequence(key, *value)) return broken(need);
    const Fields list(value, *context_, this, key);
    bool good = true;
    size_t index = 0;
    for (const yaml::Member& item : value->members) {
      const Fields entry(item.value, *context_, &list, {}, index++);
      if (!entry.expect_mapping() || !each(entry)) good = false;
    }
    return good || broken(need);
  }
  // The mapping under `key`; not present() when absent, or when it is something else (then told). Refers to
  // this one, for its path.
  Fields child(std::string_view key) const;

  // The value itself, for a field that holds a text in a format of its own; null when absent.
  const yaml::Node* node(std::string_view key) const { return find(key); }

  // A problem of the reader's own finding, at `key` (or at this mapping when "").
  void report(std::string_view key, std::string_view text) const;
  // The last problem makes the object useless. Returns false, so that it can end a reader.
  bool drop() const {
    context_->drop_object();
    return false;
  }

 private:
  static constexpr size_t kNoIndex = ~size_t{0};
  Fields(const yaml::Node* node, ReadContext& context, const Fields* parent, std::string_view key,
         size_t index = kNoIndex)
      : node_(node), context_(&context), parent_(parent), key_(key), index_(index) {}

  const yaml::Node* find(std::string_view key) const;  // null values are absent
  std::string path(std::string_view key, size_t index = kNoIndex) const;
  bool settle(Need need, std::string_view key) const;  // of an absent field
  bool broken(Need need) const;
  bool expect_sequence(std::string_view key, const yaml::Node& value) const;
  bool expect_mapping() const;
  // Tells when the value is of another type than wanted. Text that only lacks or has quotes too many is told
  // and used; what is no scalar is not.
  bool expect_scalar(const yaml::Node& value, ScalarType type, std::string_view key, size_t index) const;
  void report_at(int line, std::string_view key, size_t index, std::string_view text) const;

  template <typename Format>
  auto parse(std::string_view key, const yaml::Node& value, const Format& format,
             size_t index = kNoIndex) const
      -> std::optional<typename std::decay_t<decltype(format(value.text))>::value_type> {
    if (!expect_scalar(value, format.type, key, index)) return std::nullopt;
    auto result = format(value.text);
    if (!result) {
      report_at(value.line, key, index, result.error().message);
      return std::nullopt;
    }
    return std::move(*result);
  }
  template <typename Format>
  auto parse_item(size_t index, const yaml::Node& value, const Format& format) const {
    return parse({}, value, format, index);
  }

  const yaml::Node* node_;
  ReadContext* context_;
  const Fields* parent_ = nullptr;
  std::string_view key_;
  size_t index_ = kNoIndex;
};

// Reads several fields, all of them even when one is broken, so that each is told.
inline bool all_good(std::initializer_list<bool> fields) {
  return std::find(fields.begin(), fields.end(), false) == fields.end();
}

// Quotes a value for a message, long ones shortened.
std::string quoted(std::string_view text);

}  // namespace sockmesh::config
