// FlatMap: a hash map whose entries lie side by side in one array, with a table of positions beside it. Small
// (a few bytes beyond the entry itself) and cheap to copy, which is what a large immutable value needs that
// is made anew for each change. Iterates in order of insertion until something is erased: the last entry then
// takes the place of the erased one. Inserting and erasing invalidate iterators. As thread-safe as a vector.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/arithmetic.h"

namespace sockmesh {

template <typename Key, typename Value>
class FlatMap {
 public:
  using value_type = std::pair<Key, Value>;
  using iterator = typename std::vector<value_type>::iterator;
  using const_iterator = typename std::vector<value_type>::const_iterator;

  iterator begin() { return entries_.begin(); }
  iterator end() { return entries_.end(); }
  const_iterator begin() const { return entries_.begin(); }
  const_iterator end() const { return entries_.end(); }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }

  void reserve(size_t count) {
    entries_.reserve(count);
    if (slots_for(count) > slots_.size()) rehash(slots_for(count));
  }
  void clear() {
    entries_.clear();
    slots_.clear();
  }

  const_iterator find(const Key& key) const { return begin() + static_cast<std::ptrdiff_t>(position(key)); }
  iterator find(const Key& key) { return begin() + static_cast<std::ptrdiff_t>(position(key)); }
  bool contains(const Key& key) const { return position(key) != size(); }
  const Value& at(const Key& key) const {
    const auto it = find(key);
    if (it == end()) throw std::out_of_range("FlatMap::at");
    return it->second;
  }

  // As of std::unordered_map: what is there stays.
  std::pair<iterator, bool> emplace(Key key, Value value) {
    if (const size_t at = position(key); at != size())
      return {begin() + static_cast<std::ptrdiff_t>(at), false};
    if (slots_for(size() + 1) > slots_.size()) rehash(slots_for(size() + 1));
    slots_[free_slot(key)] = static_cast<uint32_t>(size() + 1);
    entries_.emplace_back(std::move(key), std::move(value));
    return {std::prev(end()), true};
  }
  Value& operator[](const Key& key) { return emplace(key, Value()).first->second; }
  void insert_or_assign(const Key& key, Value value) { (*this)[key] = std::move(value); }

  void erase(iterator it) {
    const auto at = static_cast<size_t>(it - begin());
    vacate(slot_of(at));
    if (const size_t last = size() - 1; at != last) {
      slots_[slot_of(last)] = static_cast<uint32_t>(at + 1);
      entries_[at] = std::move(entries_[last]);
    }
    entries_.pop_back();
  }

 private:
  // Twice as many slots as entries at least, a power of two.
  static size_t slots_for(size_t count) {
    size_t slots = 8;
    while (slots < 2 * count) slots *= 2;
    return slots;
  }
  // Hashes may be weak (addresses of objects, say): the high bits of the product are not.
  SOCKMESH_WRAPS size_t home(const Key& key) const {
    const uint64_t mixed = static_cast<uint64_t>(std::hash<Key>{}(key)) * 0x9e3779b97f4a7c15ull;
    return static_cast<size_t>(mixed >> 32) & (slots_.size() - 1);
  }
  size_t next(size_t slot) const { return (slot + 1) & (slots_.size() - 1); }

  size_t position(const Key& key) const {  // size() when it is not there
    if (slots_.empty()) return size();
    for (size_t slot = home(key); slots_[slot] != 0; slot = next(slot))
      if (entries_[slots_[slot] - 1].first == key) return slots_[slot] - 1;
    return size();
  }
  size_t slot_of(size_t position) const {
    size_t slot = home(entries_[position].first);
    while (slots_[slot] != position + 1) slot = next(slot);
    return slot;
  }
  size_t free_slot(const Key& key) const {
    size_t slot = home(key);
    while (slots_[slot] != 0) slot = next(slot);
    return slot;
  }
  SOCKMESH_WRAPS size_t distance(size_t from, size_t to) const { return (to - from) & (slots_.size() - 1); }
  // Linear probing: what follows without a gap moves up if the gap is on its way from home.
  void vacate(size_t gap) {
    for (size_t slot = next(gap); slots_[slot] != 0; slot = next(slot)) {
      if (distance(home(entries_[slots_[slot] - 1].first), slot) < distance(gap, slot)) continue;
      slots_[gap] = slots_[slot];
      gap = slot;
    }
    slots_[gap] = 0;
  }
  void rehash(size_t slots) {
    slots_.assign(slots, 0);
    for (size_t i = 0; i < size(); ++i) slots_[free_slot(entries_[i].first)] = static_cast<uint32_t>(i + 1);
  }

  std::vector<value_type> entries_;
  std::vector<uint32_t> slots_;  // position + 1 of an entry, 0: free
};

}  // namespace sockmesh
