// Text: an immutable string that is kept once however often it is used. Names, namespaces, hosts and files
// recur in thousands of objects of a configuration; a Text is one pointer to the shared characters. Reads
// like a const std::string, compares with another Text by pointer. Made under a lock (not for the hot path),
// read and copied freely by any thread; the characters go with the last Text that has them.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <compare>
#include <concepts>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sockmesh {

class Text;

template <typename T>
concept StringLike = std::convertible_to<const T&, std::string_view> && !std::same_as<T, Text>;

class Text {
 public:
  Text() = default;
  template <StringLike T>
  Text(const T& text) : shared_(intern(text)) {}  // implicit: a Text is a way to keep a string
  Text(const Text& other) noexcept : shared_(other.shared_) { keep(); }
  Text(Text&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  Text& operator=(Text other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~Text() { drop(); }

  const std::string& str() const { return shared_ ? shared_->text : kEmpty; }
  operator const std::string&() const { return str(); }
  operator std::string_view() const { return str(); }

  bool empty() const { return !shared_; }
  size_t size() const { return str().size(); }
  const char* c_str() const { return str().c_str(); }
  bool starts_with(std::string_view what) const { return str().starts_with(what); }
  bool ends_with(std::string_view what) const { return str().ends_with(what); }
  size_t find(std::string_view what, size_t from = 0) const { return str().find(what, from); }
  std::string substr(size_t from, size_t count = std::string::npos) const {
    return str().substr(from, count);
  }

  friend bool operator==(const Text& a, const Text& b) { return a.shared_ == b.shared_; }
  friend std::strong_ordering operator<=>(const Text& a, const Text& b) { return a.str() <=> b.str(); }
  template <StringLike T>
  friend bool operator==(const Text& a, const T& b) {
    return a.str() == std::string_view(b);
  }
  template <StringLike T>
  friend std::strong_ordering operator<=>(const Text& a, const T& b) {
    return std::string_view(a.str()) <=> std::string_view(b);
  }
  friend std::string operator+(const Text& a, const Text& b) { return a.str() + b.str(); }
  template <StringLike T>
  friend std::string operator+(const Text& a, const T& b) {
    return std::string(a.str()).append(b);
  }
  template <StringLike T>
  friend std::string operator+(const T& a, const Text& b) {
    return std::string(a).append(b.str());
  }
  friend std::ostream& operator<<(std::ostream& out, const Text& text) { return out << text.str(); }

  size_t hash() const { return std::hash<const void*>{}(shared_); }

 private:
  struct Shared {
    std::string text;
    std::atomic<uint32_t> users;
    uint32_t hash;
  };
  static const std::string kEmpty;

  static Shared* intern(std::string_view text);  // null for ""
  static void release(Shared* shared);           // by its last user, perhaps
  void keep() noexcept {
    if (shared_) shared_->users.fetch_add(1, std::memory_order_relaxed);
  }
  void drop() noexcept {
    if (!shared_) return;
    uint32_t users = shared_->users.load(std::memory_order_relaxed);
    while (users > 1)
      if (shared_->users.compare_exchange_weak(users, users - 1, std::memory_order_acq_rel)) return;
    release(shared_);
  }

  Shared* shared_ = nullptr;
  friend class TextTable;
};

}  // namespace sockmesh

template <>
struct std::hash<sockmesh::Text> {
  size_t operator()(const sockmesh::Text& text) const noexcept { return text.hash(); }
};

template <>
struct fmt::formatter<sockmesh::Text> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const sockmesh::Text& text, Context& context) const {
    return fmt::formatter<std::string_view>::format(text.str(), context);
  }
};
