#include "upstream/name_cache.h"

#include <fmt/format.h>

#include <algorithm>

namespace sockmesh::upstream {

namespace {

using Outcome = FamilyLookup::Outcome;

// The addresses of one family that are in force from now on.
void merge_family(const FamilyLookup& family, bool v6, const NameAnswer& before, NameAnswer& now) {
  if (family.outcome == Outcome::kAddresses)
    now.addresses.insert(now.addresses.end(), family.addresses.begin(), family.addresses.end());
  if (family.outcome == Outcome::kFailed || family.outcome == Outcome::kPending)
    std::copy_if(before.addresses.begin(), before.addresses.end(), std::back_inserter(now.addresses),
                 [&](const IpAddress& ip) { return ip.is_v6() == v6; });
}

std::string error_of(const Lookup& lookup, NameState state) {
  const auto complains = [&](const FamilyLookup& family) {
    return family.outcome == Outcome::kFailed ||
           (family.outcome == Outcome::kEmpty && state == NameState::kEmpty);
  };
  const bool a = complains(lookup.v4), aaaa = complains(lookup.v6);
  if (a && aaaa && lookup.v4.error == lookup.v6.error) return lookup.v4.error;
  std::string text;
  if (a) text = fmt::format("A: {}", lookup.v4.error);
  if (aaaa) text += fmt::format("{}AAAA: {}", a ? "; " : "", lookup.v6.error);
  return text;
}

}  // namespace

const char* to_string(NameState state) {
  switch (state) {
    case NameState::kPending:
      return "pending";
    case NameState::kAnswered:
      return "answered";
    case NameState::kEmpty:
      return "empty";
    case NameState::kFailing:
      return "failing";
  }
  return "?";
}

NameAnswer after(const NameAnswer& before, const Lookup& lookup, MonotonicTime now) {
  NameAnswer next = before;
  next.addresses.clear();
  merge_family(lookup.v4, false, before, next);
  merge_family(lookup.v6, true, before, next);
  if (!next.addresses.empty()) next.last_addresses = next.addresses;

  const auto any = [&](Outcome outcome) {
    return lookup.v4.outcome == outcome || lookup.v6.outcome == outcome;
  };
  if (any(Outcome::kPending)) return next;  // how it ended is not known yet
  ++next.attempts;
  if (any(Outcome::kAddresses)) {
    next.state = NameState::kAnswered;
    ++next.with_addresses;
  } else if (any(Outcome::kFailed)) {
    next.state = NameState::kFailing;
    ++next.failures;
  } else {
    next.state = NameState::kEmpty;
    ++next.empties;
  }
  if (next.state != NameState::kFailing) next.answered = now;
  next.in_vain = next.state == NameState::kAnswered ? 0 : before.in_vain + 1;
  next.error = error_of(lookup, next.state);
  return next;
}

NameAnswerPtr NameCache::find(const std::string& name) const {
  const Lock lock(mutex_);
  const auto found = answers_.find(name);
  return found == answers_.end() ? nullptr : found->second;
}

NameAnswerPtr NameCache::looked_up(const std::string& name, const Lookup& lookup, MonotonicTime now) {
  const Lock lock(mutex_);
  NameAnswerPtr& entry = answers_[name];
  auto next = std::make_shared<NameAnswer>(after(entry ? *entry : NameAnswer{}, lookup, now));
  // last_addresses follow addresses.
  if (!entry || entry->addresses != next->addresses) version_.fetch_add(1, std::memory_order_acq_rel);
  entry = std::move(next);
  return entry;
}

void NameCache::keep_only(const std::set<std::string>& names) {
  const Lock lock(mutex_);
  std::erase_if(answers_, [&](const auto& entry) { return !names.contains(entry.first); });
}

std::map<std::string, NameAnswerPtr> NameCache::all() const {
  const Lock lock(mutex_);
  return answers_;
}

}  // namespace sockmesh::upstream
