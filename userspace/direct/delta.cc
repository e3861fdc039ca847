#include "direct/delta.h"

namespace sockmesh::direct {

namespace {

template <typename T>
bool same(const T& a, const T& b) {
  return a == b;
}
template <typename T>
bool same(const std::shared_ptr<const T>& a, const std::shared_ptr<const T>& b) {
  return a == b || *a == *b;
}

template <typename Map>
auto changes(const Map& before, const Map& after) {
  using Key = std::remove_const_t<typename Map::value_type::first_type>;
  Changes<Key, typename Map::value_type::second_type> out;
  size_t kept = 0;
  for (const auto& [key, value] : after) {
    const auto was = before.find(key);
    if (was == before.end()) {
      out.inserted.emplace_back(key, value);
      continue;
    }
    ++kept;
    if (!same(was->second, value)) out.replaced.emplace_back(key, value);
  }
  if (kept == before.size()) return out;  // nobody is missing
  for (const auto& [key, value] : before)
    if (after.find(key) == after.end()) out.removed.push_back(key);
  return out;
}

}  // namespace

Delta delta(const Tables& before, const Tables& after) {
  return {changes(before.destinations.exact, after.destinations.exact),
          changes(before.destinations.prefixes, after.destinations.prefixes),
          changes(before.routes, after.routes), changes(before.clusters, after.clusters)};
}

}  // namespace sockmesh::direct
