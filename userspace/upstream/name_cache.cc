#include "upstream/name_cache.h"

namespace sockmesh::upstream {

NameAnswerPtr NameCache::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = answers_.find(name);
  return found == answers_.end() ? nullptr : found->second;
}

void NameCache::answered(const std::string& name, std::vector<IpAddress> addresses) {
  const std::lock_guard lock(mutex_);
  NameAnswerPtr& entry = answers_[name];
  const bool same = entry && entry->addresses == addresses;
  entry = std::make_shared<NameAnswer>(NameAnswer{std::move(addresses), ""});
  if (!same) version_.fetch_add(1, std::memory_order_acq_rel);
}

void NameCache::failed(const std::string& name, std::string error) {
  const std::lock_guard lock(mutex_);
  NameAnswerPtr& entry = answers_[name];
  if (!entry) version_.fetch_add(1, std::memory_order_acq_rel);
  entry = std::make_shared<NameAnswer>(
      NameAnswer{entry ? entry->addresses : std::vector<IpAddress>{}, std::move(error)});
}

void NameCache::keep_only(const std::set<std::string>& names) {
  const std::lock_guard lock(mutex_);
  std::erase_if(answers_, [&](const auto& entry) { return !names.contains(entry.first); });
}

std::map<std::string, NameAnswerPtr> NameCache::all() const {
  const std::lock_guard lock(mutex_);
  return answers_;
}

}  // namespace sockmesh::upstream
