#include "iptables/session.h"

#include <algorithm>

#include "base/strings.h"
#include "iptables/guard.h"
#include "iptables/render_iptables.h"

namespace sockmesh::iptables {

namespace {

size_t tables_in(const std::string& document) {
  return static_cast<size_t>(std::count(document.begin(), document.end(), '*'));
}

}  // namespace

Result<Session> Session::open(const Launcher& launcher, const Options& options, const Wanted& wanted,
                              bool may_write) {
  Session session(launcher, wanted);
  // Before the back ends are tried out, because trying may create an empty table.
  NftView view = look_at_nft(launcher);
  session.memory_ = std::move(view.memory);
  session.inventory_ = std::move(view.inventory);
  for (const Family family : {Family::kV4, Family::kV6}) {
    const bool needed = family == Family::kV4 || wanted.plan.ipv6;
    auto backend = Backend::choose(launcher, family, options.binary, may_write && needed);
    if (!backend && !needed) break;
    if (!backend) return fail(std::move(backend).error());
    SavedState state = parse_save(backend->found());
    session.sides_.push_back({*std::move(backend), std::move(state)});
  }
  return session;
}

// IPv6 without IPv6 rules wants nothing there, so that leftovers are found.
Plan Session::plan_for(const Side& side) const {
  if (side.backend.family() == Family::kV4 || wanted_->plan.ipv6) return wanted_->plan;
  return {};
}

std::vector<Finding> Session::compare() const {
  std::vector<Finding> found;
  for (const Side& side : sides_) {
    for (Finding& finding : iptables::compare(plan_for(side), running(side, side.state)))
      found.push_back(std::move(finding));
  }
  return found;
}

bool Session::has_own_chains() const {
  return std::any_of(sides_.begin(), sides_.end(),
                     [](const Side& side) { return iptables::has_own_chains(side.state); });
}

std::string Session::backend_names() const {
  std::vector<std::string> names;
  for (const Side& side : sides_) names.push_back(side.backend.name());
  return join(names, ", ");
}

// `documents` are one a side.
Result<void> Session::rehearse(const std::vector<std::string>& documents) const {
  for (size_t i = 0; i < sides_.size(); ++i) {
    if (const auto ready = sides_[i].backend.rehearse(documents[i]); !ready)
      return fail(ready.error().within("tried without changing anything"));
  }
  return {};
}

Result<void> Session::apply() {
  std::vector<std::string> documents;
  for (const Side& side : sides_)
    documents.push_back(restore_document(plan_for(side), side.backend.family()));
  SOCKMESH_CHECK(rehearse(documents));
  const SavedState none;
  SOCKMESH_CHECK(
      remember(*launcher_, memory_, inventory_, sides_[0].state, sides_.size() > 1 ? sides_[1].state : none));
  for (size_t i = 0; i < sides_.size(); ++i) SOCKMESH_CHECK(sides_[i].backend.apply(documents[i]));
  return {};
}

Result<void> Session::rebuild(const std::vector<Finding>& findings) {
  std::vector<std::string> documents;
  for (const Side& side : sides_)
    documents.push_back(rebuild_document(plan_for(side), running(side, side.state), findings));
  SOCKMESH_CHECK(rehearse(documents));
  for (size_t i = 0; i < sides_.size(); ++i) {
    SOCKMESH_CHECK(swap(sides_[i], documents[i]));
    // One of an earlier run that was killed.
    SOCKMESH_CHECK(lift_guard(sides_[i]));
  }
  return {};
}

// One table changes in one step. Between two tables, nothing passes.
Result<void> Session::swap(const Side& side, const std::string& document) const {
  if (tables_in(document) < 2) return side.backend.apply(document);
  SOCKMESH_CHECK(side.backend.apply(guard_document()));
  auto swapped = side.backend.apply(document);
  SOCKMESH_CHECK(lift_guard(side));  // whether it went well or not
  return swapped;
}

Result<void> Session::lift_guard(const Side& side) const {
  SOCKMESH_TRY(saved, side.backend.save());
  return side.backend.apply(guard_removal(parse_save(saved)));
}

Result<void> Session::remove() {
  for (const Side& side : sides_) {
    SOCKMESH_CHECK(lift_guard(side));  // of an earlier run that was killed
    SOCKMESH_CHECK(side.backend.apply(removal_document(plan_for(side), running(side, side.state))));
  }
  forget(*launcher_, memory_);
  return {};
}

Result<void> Session::undo() {
  for (const Side& side : sides_) {
    SOCKMESH_TRY(now, side.backend.save());
    const std::string before = without_counters(side.backend.found());
    if (without_counters(now) == before) continue;
    const SavedState state = parse_save(now);
    SOCKMESH_CHECK(
        side.backend.apply(restoration_document(plan_for(side), running(side, state), side.state)));
  }
  if (has_own_chains() || !memory_.available) return {};
  forget(*launcher_, memory_.written() ? memory_ : absence(inventory_));
  return {};
}

}  // namespace sockmesh::iptables
