#include "base/text.h"

#include <algorithm>
#include <vector>

#include "base/arithmetic.h"
#include "base/mutex.h"

namespace sockmesh {

const std::string Text::kEmpty;

// All strings there are, by what they say: a hash table of pointers with linear probing.
class TextTable {
 public:
  // Never destroyed: a Text of static storage may go after it.
  static TextTable& instance() {
    static auto* const table = new TextTable;
    return *table;
  }

  Text::Shared* get(std::string_view text) {
    const auto hash = static_cast<uint32_t>(std::hash<std::string_view>{}(text));
    const Lock lock(mutex_);
    if (4 * (count_ + 1) > 3 * slots_.size()) grow();
    size_t slot = hash & mask();
    for (; slots_[slot]; slot = next(slot))
      if (slots_[slot]->hash == hash && slots_[slot]->text == text) {
        slots_[slot]->users.fetch_add(1, std::memory_order_relaxed);
        return slots_[slot];
      }
    slots_[slot] = new Text::Shared{std::string(text), 1, hash};
    ++count_;
    return slots_[slot];
  }

  // Distances are modulo the size of the table.
  SOCKMESH_WRAPS void release(Text::Shared* shared) {
    const Lock lock(mutex_);
    // Somebody may have asked for the same characters since.
    if (shared->users.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    size_t gap = shared->hash & mask();
    while (slots_[gap] != shared) gap = next(gap);
    // What follows without a gap moves up if the gap is on its way from home.
    for (size_t slot = next(gap); slots_[slot]; slot = next(slot)) {
      const size_t from_home = (slot - slots_[slot]->hash) & mask(), from_gap = (slot - gap) & mask();
      if (from_home < from_gap) continue;
      slots_[gap] = slots_[slot];
      gap = slot;
    }
    slots_[gap] = nullptr;
    --count_;
    delete shared;
  }

 private:
  size_t mask() const SOCKMESH_REQUIRES(mutex_) { return slots_.size() - 1; }
  size_t next(size_t slot) const SOCKMESH_REQUIRES(mutex_) { return (slot + 1) & mask(); }
  void grow() SOCKMESH_REQUIRES(mutex_) {
    std::vector<Text::Shared*> before(std::max<size_t>(2 * slots_.size(), 64));
    before.swap(slots_);
    for (Text::Shared* shared : before) {
      if (!shared) continue;
      size_t slot = shared->hash & mask();
      while (slots_[slot]) slot = next(slot);
      slots_[slot] = shared;
    }
  }

  Mutex mutex_;
  // A power of two of them, at most three quarters in use.
  std::vector<Text::Shared*> slots_ SOCKMESH_GUARDED_BY(mutex_);
  size_t count_ SOCKMESH_GUARDED_BY(mutex_) = 0;
};

Text::Shared* Text::intern(std::string_view text) {
  return text.empty() ? nullptr : TextTable::instance().get(text);
}

void Text::release(Shared* shared) { TextTable::instance().release(shared); }

}  // namespace sockmesh
