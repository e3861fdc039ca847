#include "iptables/drift.h"

#include <algorithm>
#include <set>

#include "iptables/guard.h"
#include "iptables/render_iptables.h"

namespace sockmesh::iptables {

namespace {

constexpr Chain kBuiltin[] = {Chain::kPrerouting, Chain::kOutput};

bool jumps_to_ours(const SavedRule& rule) { return is_own_chain(target_of(rule.body)); }

// The planned rules of one chain, in order, in normal form.
struct Wanted {
  const Rule* rule;
  std::string form;
};

std::vector<Wanted> wanted_in(const Plan& plan, const Running& running, Table table, Chain chain);

// A built-in chain as it runs: which of its rules are ours.
class BuiltinChain {
 public:
  BuiltinChain(const Plan& plan, const Running& running, Table table, Chain chain);

  const std::vector<const SavedRule*>& rules() const { return rules_; }
  bool ours(size_t at) const { return of_[at] != kForeign; }
  const std::vector<Wanted>& wanted() const { return wanted_; }
  std::vector<Finding> findings() const;
  // Rules of others ahead of the last of ours: those that came after ours were written.
  bool newcomer(size_t at) const;

 private:
  static constexpr int kForeign = -1;
  static constexpr int kStray = -2;  // a jump to a chain of ours that the plan does not want

  Finding finding(Finding::Kind kind, std::string text) const {
    return {kind, running_.family, std::string(table_), std::string(chain_), std::move(text)};
  }

  const Running& running_;
  std::string_view table_, chain_;
  std::vector<const SavedRule*> rules_;
  std::vector<Wanted> wanted_;
  std::vector<int> of_;  // index into wanted_, kForeign or kStray
};

std::vector<Wanted> wanted_in(const Plan& plan, const Running& running, Table table, Chain chain) {
  std::vector<Wanted> wanted;
  for (const Rule* rule : chain_rules(plan, running.family, table, chain)) {
    wanted.push_back({rule, normal_form(rule_text(*rule, running.family), running.groups)});
  }
  return wanted;
}

BuiltinChain::BuiltinChain(const Plan& plan, const Running& running, Table table, Chain chain)
    : running_(running),
      table_(table_name(table)),
      chain_(chain_name(chain)),
      wanted_(wanted_in(plan, running, table, chain)) {
  if (const SavedTable* saved = running.state.find(table_)) rules_ = saved->in_chain(chain_);
  of_.assign(rules_.size(), kForeign);
  std::vector<std::string> forms;
  forms.reserve(rules_.size());
  for (const SavedRule* rule : rules_) forms.push_back(normal_form(rule->body, running.groups));
  // Somebody else may have a rule that reads like ours. Ours were appended later, so they are looked for from
  // the end; those inserted at the head, from the head.
  const auto claim = [&](size_t rule, size_t wanted) {
    if (of_[rule] != kForeign || forms[rule] != wanted_[wanted].form) return false;
    of_[rule] = static_cast<int>(wanted);
    return true;
  };
  for (size_t w = 0; w < wanted_.size(); ++w) {
    if (!wanted_[w].rule->insert) continue;
    for (size_t r = 0; r < rules_.size() && !claim(r, w); ++r) {
    }
  }
  for (size_t w = wanted_.size(); w > 0;) {
    if (wanted_[--w].rule->insert) continue;
    for (size_t r = rules_.size(); r > 0 && !claim(r - 1, w); --r) {
    }
  }
  for (size_t r = 0; r < rules_.size(); ++r) {
    if (of_[r] == kForeign && jumps_to_ours(*rules_[r])) of_[r] = kStray;
  }
}

bool BuiltinChain::newcomer(size_t at) const {
  return of_[at] == kForeign && running_.memory.written() &&
         !running_.memory.knows(running_.family, table_, *rules_[at]);
}

std::vector<Finding> BuiltinChain::findings() const {
  using Kind = Finding::Kind;
  std::vector<Finding> found;
  size_t last_of_ours = 0;  // one past it
  int previous = -1;
  for (size_t r = 0; r < rules_.size(); ++r) {
    if (of_[r] == kStray) found.push_back(finding(Kind::kUnexpectedRule, rules_[r]->body));
    if (of_[r] < 0) continue;
    last_of_ours = r + 1;
    if (of_[r] < previous) found.push_back(finding(Kind::kWrongOrder, rules_[r]->body));
    previous = std::max(previous, of_[r]);
  }
  for (size_t w = 0; w < wanted_.size(); ++w) {
    if (std::find(of_.begin(), of_.end(), static_cast<int>(w)) == of_.end())
      found.push_back(finding(Kind::kMissingRule, rule_text(*wanted_[w].rule, running_.family)));
  }
  for (size_t r = 0; r < last_of_ours; ++r) {
    if (of_[r] != kForeign) continue;
    if (newcomer(r))
      found.push_back(finding(Kind::kForeignAhead, rules_[r]->body));
    else if (!running_.memory.written())
      found.push_back(finding(Kind::kForeignSeen, rules_[r]->body));
  }
  return found;
}

// A chain of ours has to be exactly as planned.
void compare_own_chain(const Plan& plan, const Running& running, Table table, Chain chain,
                       std::vector<Finding>& found) {
  using Kind = Finding::Kind;
  const std::string table_text(table_name(table)), chain_text(chain_name(chain));
  const auto add = [&](Kind kind, std::string text) {
    found.push_back({kind, running.family, table_text, chain_text, std::move(text)});
  };
  const SavedTable* saved = running.state.find(table_text);
  if (!saved || !saved->has_chain(chain_text)) {
    add(Kind::kMissingChain, {});
    return;
  }
  const auto wanted = wanted_in(plan, running, table, chain);
  const auto have = saved->in_chain(chain_text);
  std::vector<std::string> have_forms;
  have_forms.reserve(have.size());
  for (const SavedRule* rule : have) have_forms.push_back(normal_form(rule->body, running.groups));

  std::multiset<std::string> want_left, have_left(have_forms.begin(), have_forms.end());
  for (const Wanted& rule : wanted) {
    const auto at = have_left.find(rule.form);
    if (at == have_left.end())
      add(Kind::kMissingRule, rule_text(*rule.rule, running.family));
    else
      have_left.erase(at);
  }
  const bool same_rules = have_left.empty() && wanted.size() == have.size();
  for (size_t i = have.size(); i > 0;) {
    if (const auto at = have_left.find(have_forms[--i]); at != have_left.end()) {
      add(Kind::kUnexpectedRule, have[i]->body);
      have_left.erase(at);
    }
  }
  if (!same_rules) return;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].form != have_forms[i]) {
      add(Kind::kWrongOrder, have[i]->body);
      return;
    }
  }
}

void compare_table(const Plan& plan, const Running& running, Table table, std::vector<Finding>& found) {
  const auto wanted_chains = own_chains(plan, running.family, table);
  for (const Chain chain : kBuiltin) {
    for (Finding& finding : BuiltinChain(plan, running, table, chain).findings())
      found.push_back(std::move(finding));
  }
  for (const Chain chain : wanted_chains) compare_own_chain(plan, running, table, chain, found);
  const SavedTable* saved = running.state.find(table_name(table));
  if (!saved) return;
  for (const std::string& chain : saved->chains) {
    const bool wanted = std::any_of(wanted_chains.begin(), wanted_chains.end(),
                                    [&](Chain w) { return chain_name(w) == chain; });
    if (is_own_chain(chain) && !wanted)
      found.push_back({Finding::Kind::kUnexpectedChain, running.family, saved->name, chain, {}});
  }
}

// The commands that take ours out of one table.
std::string removal_commands(const Plan& plan, const Running& running, Table table) {
  const SavedTable* saved = running.state.find(table_name(table));
  if (!saved) return {};
  std::string flush, remove, drop;
  for (const std::string& chain : saved->chains) {
    if (!is_own_chain(chain)) continue;
    flush += fmt::format("-F {}\n", chain);
    drop += fmt::format("-X {}\n", chain);
  }
  for (const Chain chain : kBuiltin) {
    const BuiltinChain builtin(plan, running, table, chain);
    // By number from the last to the first: a rule of somebody else may read the same.
    for (size_t number = builtin.rules().size(); number > 0; --number) {
      if (builtin.ours(number - 1)) remove += fmt::format("-D {} {}\n", chain_name(chain), number);
    }
  }
  // A chain of somebody else that jumps to one of ours would keep it from being removed.
  for (const SavedRule& rule : saved->rules) {
    const bool seen = is_own_chain(rule.chain) || rule.chain == "PREROUTING" || rule.chain == "OUTPUT";
    if (!seen && jumps_to_ours(rule)) remove += fmt::format("-D {} {}\n", rule.chain, rule.body);
  }
  return flush + remove + drop;
}

// The planned commands, with the appended rules of a built-in chain ahead of what others put there since.
std::string insertion_commands(const Plan& plan, const Running& running, Table table) {
  std::string text;
  for (const Chain chain : own_chains(plan, running.family, table))
    text += fmt::format("-N {}\n", chain_name(chain));
  std::optional<size_t> ahead[2];  // a position from 1 in the chain without ours, where there is a newcomer
  for (const Chain chain : kBuiltin) {
    const BuiltinChain builtin(plan, running, table, chain);
    size_t position = 1;
    auto& first = ahead[static_cast<size_t>(chain)];
    for (size_t r = 0; r < builtin.rules().size() && !first; ++r) {
      if (builtin.newcomer(r)) first = position;
      if (!builtin.ours(r)) ++position;
    }
  }
  for (const Rule& rule : plan.rules) {
    if (rule.table != table || !rule.families.has(running.family)) continue;
    if (is_builtin(rule.chain)) {
      auto& first = ahead[static_cast<size_t>(rule.chain)];
      if (first) {
        const size_t at = rule.insert ? static_cast<size_t>(*rule.insert) : *first;
        text += fmt::format("-I {} {} {}\n", chain_name(rule.chain), at, rule_text(rule, running.family));
        ++*first;
        continue;
      }
    }
    text += rule_command(rule, running.family) + "\n";
  }
  return text;
}

// The commands that put ours back into a table without ours, each rule at its old place.
std::string return_commands(const Plan& plan, const Running& before, Table table) {
  const SavedTable* saved = before.state.find(table_name(table));
  if (!saved) return {};
  std::string create, rules;
  for (const std::string& chain : saved->chains) {
    if (is_own_chain(chain)) create += fmt::format("-N {}\n", chain);
  }
  for (const SavedRule& rule : saved->rules) {
    if (is_own_chain(rule.chain)) rules += fmt::format("-A {} {}\n", rule.chain, rule.body);
  }
  for (const Chain chain : kBuiltin) {
    const BuiltinChain builtin(plan, before, table, chain);
    for (size_t r = 0; r < builtin.rules().size(); ++r) {
      if (builtin.ours(r))
        rules += fmt::format("-I {} {} {}\n", chain_name(chain), r + 1, builtin.rules()[r]->body);
    }
  }
  return create + rules;
}

std::string document(Table table, const std::string& commands) {
  return commands.empty() ? "" : fmt::format("*{}\n{}COMMIT\n", table_name(table), commands);
}

}  // namespace

std::string to_string(const Finding& finding) {
  static constexpr std::string_view kWords[] = {
      "chain is missing",
      "chain is not wanted",
      "missing rule",
      "rule is not wanted",
      "rule is out of order",
      "somebody else's rule was put ahead of ours",
      "somebody else's rule is ahead of ours",
  };
  std::string text = fmt::format("{} {} {}: {}", finding.family == Family::kV4 ? "IPv4" : "IPv6",
                                 finding.table, finding.chain, kWords[static_cast<size_t>(finding.kind)]);
  if (!finding.text.empty()) text += ": " + finding.text;
  return text;
}

bool has_own_chains(const SavedState& state) {
  return std::any_of(state.tables.begin(), state.tables.end(), [](const SavedTable& table) {
    return std::any_of(table.chains.begin(), table.chains.end(),
                       [](const auto& chain) { return is_own_chain(chain); });
  });
}

std::vector<Finding> compare(const Plan& plan, const Running& running) {
  std::vector<Finding> found;
  for (const Table table : kTables) compare_table(plan, running, table, found);
  if (const SavedTable* filter = running.state.find("filter")) {
    for (const SavedRule& rule : filter->rules) {
      if (is_guard(rule))
        found.push_back({Finding::Kind::kUnexpectedRule, running.family, "filter", rule.chain, rule.body});
    }
  }
  return found;
}

std::string removal_document(const Plan& plan, const Running& running) {
  std::string text;
  for (const Table table : kTables) text += document(table, removal_commands(plan, running, table));
  return text;
}

std::string restoration_document(const Plan& plan, const Running& running, const SavedState& before) {
  const Running then{running.family, before, running.memory, running.groups};
  std::string text;
  for (const Table table : kTables)
    text += document(table, removal_commands(plan, running, table) + return_commands(plan, then, table));
  return text;
}

std::string rebuild_document(const Plan& plan, const Running& running, const std::vector<Finding>& findings) {
  std::string text;
  for (const Table table : kTables) {
    const bool differs = std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
      return finding.is_drift() && finding.family == running.family && finding.table == table_name(table);
    });
    if (!differs) continue;
    const std::string wanted =
        has_table(plan, running.family, table) ? insertion_commands(plan, running, table) : std::string();
    text += document(table, removal_commands(plan, running, table) + wanted);
  }
  return text;
}

}  // namespace sockmesh::iptables
