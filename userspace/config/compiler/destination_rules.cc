#include "config/compiler/destination_rules.h"

#include <algorithm>

#include "config/resources/age.h"
#include "config/resources/hostnames.h"

namespace sockmesh::config {

namespace {

bool by_age(const std::shared_ptr<const DestinationRule>& a,
            const std::shared_ptr<const DestinationRule>& b) {
  return age(a->meta) < age(b->meta);
}

template <typename Block>
void replace(const Block*& block, const std::optional<Block>& with, bool wholesale) {
  if (with) {
    block = &*with;
  } else if (wholesale) {
    block = nullptr;
  }
}

// A port-level entry replaces the blocks as a whole, also by nothing; anything else only what it has.
void overlay(EffectivePolicy& policy, const TrafficPolicy& with, uint16_t port) {
  const auto apply = [&](const TrafficPolicy& from, bool wholesale) {
    replace(policy.load_balancer, from.load_balancer, wholesale);
    replace(policy.connection_pool, from.connection_pool, wholesale);
    replace(policy.outlier, from.outlier, wholesale);
    if (from.proxy_protocol) policy.proxy_protocol = *from.proxy_protocol;
  };
  apply(with, false);
  for (const auto& level : with.port_level)
    if (level.port == port) {
      apply(level.policy, true);
      break;
    }
}

}  // namespace

const Subset* MergedRule::subset(const std::string& name) const {
  for (const Subset* one : subsets)
    if (one->name == name) return one;
  return nullptr;
}

const DestinationRules::Rules* DestinationRules::OfNamespace::most_specific(const std::string& host) const {
  if (const auto it = exact.find(host); it != exact.end()) return &it->second;
  for (const auto& [pattern, rules] : wildcard)
    if (host_covers(pattern, host)) return &rules;
  return nullptr;
}

void DestinationRules::OfNamespace::add(const std::shared_ptr<const DestinationRule>& rule,
                                        const std::string& host, const std::vector<std::string>& export_to) {
  Rules* rules = nullptr;
  if (is_wildcard(host)) {
    auto at = std::find_if(wildcard.begin(), wildcard.end(), [&](const auto& w) { return w.first == host; });
    if (at == wildcard.end()) {
      at = std::find_if(wildcard.begin(), wildcard.end(),
                        [&](const auto& w) { return w.first.size() < host.size(); });
      at = wildcard.insert(at, {host, {}});
    }
    rules = &at->second;
  } else {
    rules = &exact[host];
  }
  // Rules that show themselves to the same clients are one; the older keeps what both define.
  const auto same = std::find_if(rules->begin(), rules->end(), [&](const auto& merged) {
    return merged->export_to == export_to && merged->first->workload_selector == rule->workload_selector;
  });
  std::shared_ptr<MergedRule> merged;
  if (same == rules->end()) {
    merged = std::make_shared<MergedRule>();
    merged->host = host;
    merged->ns = rule->meta.ns;
    merged->first = rule;
    merged->policy = &rule->policy;
    merged->export_to = export_to;
    rules->push_back(merged);
  } else {
    merged = *same;
    if (!*merged->policy) merged->policy = &rule->policy;
  }
  merged->parts.push_back(rule);
  for (const Subset& subset : rule->subsets)
    if (!merged->subset(subset.name)) merged->subsets.push_back(&subset);
}

DestinationRules::DestinationRules(const List<DestinationRule>& rules, const MeshConfig& mesh)
    : root_(mesh.root_namespace) {
  auto sorted = rules;
  std::sort(sorted.begin(), sorted.end(), by_age);
  for (const auto& rule : sorted) {
    const std::string& ns = rule->meta.ns;
    const std::string host = full_name(rule->host, ns, mesh.domain);
    std::vector<std::string> export_to = rule->export_to;
    if (rule->workload_selector) export_to = {"."};
    std::sort(export_to.begin(), export_to.end());
    if (export_to.empty() || exported_to(export_to, ns, ns)) local_[ns].add(rule, host, export_to);
    const auto& effective = export_to.empty() ? mesh.default_destination_rule_export_to : export_to;
    if (!exported_privately(effective, ns)) {
      exported_[ns].add(rule, host, export_to);
    } else if (ns == root_) {
      root_private_.add(rule, host, export_to);
    }
  }
}

const MergedRule* DestinationRules::exported(const std::string& from, const std::string& client_ns,
                                             const std::string& host) const {
  const auto it = exported_.find(from);
  if (it == exported_.end()) return nullptr;
  const Rules* rules = it->second.most_specific(host);
  if (!rules) return nullptr;
  for (const auto& rule : *rules)
    if (rule->export_to.empty() || exported_to(rule->export_to, from, client_ns)) return rule.get();
  return nullptr;
}

const MergedRule* DestinationRules::find(const std::string& client_ns, const Labels& client,
                                         const std::string& host, const std::string& service_ns) const {
  const OfNamespace* own = &root_private_;
  if (client_ns != root_) {
    const auto it = local_.find(client_ns);
    own = it == local_.end() ? nullptr : &it->second;
  }
  if (own)
    if (const Rules* rules = own->most_specific(host)) {
      const MergedRule* for_all = nullptr;
      for (const auto& rule : *rules) {
        const auto& selector = rule->first->workload_selector;
        if (!selector) {
          for_all = rule.get();
        } else if (std::all_of(selector->begin(), selector->end(), [&](const auto& label) {
                     const auto at = client.find(label.first);
                     return at != client.end() && at->second == label.second;
                   })) {
          return rule.get();
        }
      }
      // A more specific rule that applies to other workloads only still ends the search, as in Istio.
      return for_all;
    }
  if (const MergedRule* rule = exported(service_ns, client_ns, host)) return rule;
  return exported(root_, client_ns, host);
}

EffectivePolicy effective_policy(const MergedRule* rule, const Subset* subset, uint16_t port,
                                 const MeshConfig& mesh) {
  EffectivePolicy policy;
  if (rule && *rule->policy) overlay(policy, **rule->policy, port);
  if (subset && subset->policy) overlay(policy, *subset->policy, port);
  if (mesh.default_traffic_policy) {
    const TrafficPolicy& floor = *mesh.default_traffic_policy;
    if (!policy.connection_pool && floor.connection_pool) policy.connection_pool = &*floor.connection_pool;
    if (!policy.outlier && floor.outlier) policy.outlier = &*floor.outlier;
  }
  return policy;
}

}  // namespace sockmesh::config
