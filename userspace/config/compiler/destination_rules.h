// DestinationRules as a client meets them: which rule applies to a host, and what it says for a port and a
// subset (docs/istio.md#destinationrule). Immutable once built; points into nothing but what it holds.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/resources/resources.h"

namespace sockmesh::config {

// One DestinationRule, or several of one namespace for one host, merged.
struct MergedRule {
  std::string host, ns;
  std::shared_ptr<const DestinationRule> first;          // names the rule
  const std::optional<TrafficPolicy>* policy = nullptr;  // never null; of the first rule that has one
  std::vector<const Subset*> subsets;
  std::vector<std::string> export_to;
  std::vector<std::shared_ptr<const DestinationRule>> parts;  // keeps the pointers alive

  const Subset* subset(const std::string& name) const;
};

class DestinationRules {
 public:
  DestinationRules(const List<DestinationRule>& rules, const MeshConfig& mesh);

  // The rule that a client in `client_ns` with these labels uses for a host owned by `service_ns`; null when
  // none applies. Order: client's namespace, service's namespace, root namespace; the most specific host in
  // each; they are not merged across namespaces.
  const MergedRule* find(const std::string& client_ns, const Labels& client, const std::string& host,
                         const std::string& service_ns) const;

 private:
  using Rules = std::vector<std::shared_ptr<MergedRule>>;
  struct OfNamespace {
    std::unordered_map<std::string, Rules> exact;
    std::vector<std::pair<std::string, Rules>> wildcard;  // longest first
    const Rules* most_specific(const std::string& host) const;
    void add(const std::shared_ptr<const DestinationRule>& rule, const std::string& host,
             const std::vector<std::string>& export_to);
  };
  const MergedRule* exported(const std::string& from, const std::string& client_ns,
                             const std::string& host) const;

  std::string root_;
  std::unordered_map<std::string, OfNamespace> local_, exported_;
  OfNamespace root_private_;
};

// What a rule says for one port and subset: each block or null. Pointers live as long as the rule.
struct EffectivePolicy {
  const TrafficPolicy::LoadBalancer* load_balancer = nullptr;
  const TrafficPolicy::ConnectionPool* connection_pool = nullptr;
  const TrafficPolicy::Outlier* outlier = nullptr;
  model::ProxyProtocol proxy_protocol = model::ProxyProtocol::kNone;
};
// `rule` and `subset` may be null. Mesh-wide defaults fill the blocks that no rule has.
EffectivePolicy effective_policy(const MergedRule* rule, const Subset* subset, uint16_t port,
                                 const MeshConfig& mesh);

}  // namespace sockmesh::config
