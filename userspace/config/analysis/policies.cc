// Policies that do not hold: TLS that a DestinationRule asks for, fields and selectors without effect, and
// kinds that a proxy of layer 4 without mutual TLS cannot enforce.
#include <algorithm>

#include "config/analysis/context.h"

namespace sockmesh::config {

namespace {

bool originates_tls(const TrafficPolicy& policy) {
  return policy.tls_mode == "SIMPLE" || policy.tls_mode == "MUTUAL";
}

// On a sidecar, a credential is looked at only in a rule that selects workloads.
bool verifies_server(const DestinationRule& rule, const TrafficPolicy& policy) {
  return policy.has_ca_certificates || (policy.has_credential_name && rule.workload_selector);
}

void check_server_verification(Analysis& analysis, const DestinationRule& rule) {
  if (!rule.policy) return;
  const auto text = [&](const TrafficPolicy& policy) {
    return fmt::format(
        "DestinationRule {} in namespace {} has TLS mode set to {} but no caCertificates are set to validate "
        "server identity for host: {}",
        slashed(rule.meta), rule.meta.ns, policy.tls_mode, rule.host);
  };
  if (originates_tls(*rule.policy) && !verifies_server(rule, *rule.policy))
    analysis.find("IST0128", rule.meta, rule.policy->line, text(*rule.policy));
  for (const auto& level : rule.policy->port_level) {
    if (!originates_tls(level.policy) || verifies_server(rule, level.policy)) continue;
    analysis.find("IST0129", rule.meta, level.policy.line,
                  fmt::format("{} at port number:{}", text(level.policy), level.port));
  }
}

// Of a rule's policies: its own, its ports', and those of its subsets.
template <typename Visit>
void each_policy(const DestinationRule& rule, const Visit& visit) {
  const auto with_ports = [&](const std::optional<TrafficPolicy>& policy) {
    if (!policy) return;
    visit(*policy);
    for (const auto& level : policy->port_level) visit(level.policy);
  };
  with_ports(rule.policy);
  for (const Subset& subset : rule.subsets) with_ports(subset.policy);
}

void check_policies(Analysis& analysis, const DestinationRule& rule) {
  each_policy(rule, [&](const TrafficPolicy& policy) {
    if (originates_tls(policy)) {
      analysis.find(
          "SM0013", rule.meta, policy.line,
          fmt::format(
              "TLS mode {} is not applied: connections to {} leave as the application sends them, without "
              "TLS where it speaks none. Let the application speak TLS itself.",
              policy.tls_mode, rule.host));
    } else if (policy.tls_mode == "ISTIO_MUTUAL") {
      analysis.find(
          "SM0016", rule.meta, policy.line,
          fmt::format("TLS mode ISTIO_MUTUAL is not applied: connections to {} leave as the application "
                      "sends them; servers that insist on mutual TLS refuse them.",
                      rule.host));
    }
    if (policy.outlier && policy.outlier->has_consecutive_errors) {
      analysis.find("IST0133", rule.meta, policy.line,
                    "Schema validation warning: outlier detection consecutive errors is deprecated, use "
                    "consecutiveGatewayErrors or consecutive5xxErrors instead");
    }
  });
}

// A Kubernetes Gateway's pods take policies by targetRef alone.
void check_selector(Analysis& analysis, const Policy& policy) {
  if (!policy.selector || policy.has_target || policy.meta.kind == "PeerAuthentication") return;
  for (const auto& pod : analysis.resources.pods) {
    const auto gateway = pod->meta.labels.find("gateway.networking.k8s.io/gateway-name");
    if (pod->meta.ns != policy.meta.ns || gateway == pod->meta.labels.end()) continue;
    if (!labels_contain(pod->meta.labels, *policy.selector)) continue;
    return analysis.find(
        "IST0166", policy.meta, 0,
        fmt::format("Ineffective selector on Kubernetes Gateway {}. Use the TargetRef field instead.",
                    gateway->second));
  }
}

bool has_label(const Meta& meta, const char* key, std::string_view value) {
  const auto label = meta.labels.find(key);
  return label != meta.labels.end() && label->second == value;
}

// Where no sidecar runs a Sidecar has nothing to say to.
void check_ambient(Analysis& analysis, const Sidecar& sidecar) {
  const auto ineffective = [&](std::string_view what) {
    analysis.find(
        "IST0167", sidecar.meta, 0,
        fmt::format("The policy has no impact: {} is in ambient mode, the policy has no impact.", what));
  };
  if (!sidecar.workload_selector) {
    for (const auto& ns : analysis.resources.namespaces) {
      if (ns->meta.name == sidecar.meta.ns && has_label(ns->meta, "istio.io/dataplane-mode", "ambient"))
        ineffective("namespace");
    }
    return;
  }
  const auto& pods = analysis.resources.pods;
  const bool any = std::any_of(pods.begin(), pods.end(), [&](const auto& pod) {
    const auto redirection = pod->meta.annotations.find("ambient.istio.io/redirection");
    return pod->meta.ns == sidecar.meta.ns && labels_contain(pod->meta.labels, *sidecar.workload_selector) &&
           redirection != pod->meta.annotations.end() && redirection->second == "enabled";
  });
  if (any) ineffective("selected workload");
}

}  // namespace

void analyze_policies(Analysis& analysis) {
  for (const auto& rule : analysis.resources.destination_rules) {
    check_server_verification(analysis, *rule);
    check_policies(analysis, *rule);
  }
  for (const auto& sidecar : analysis.resources.sidecars) check_ambient(analysis, *sidecar);
  for (const auto& policy : analysis.resources.policies) {
    check_selector(analysis, *policy);
    if (policy->meta.kind == "AuthorizationPolicy" || policy->meta.kind == "PeerAuthentication") {
      analysis.find("SM0014", policy->meta, 0,
                    fmt::format("{} is not enforced by this proxy: what it would refuse is let through.",
                                policy->meta.kind));
    }
  }
}

}  // namespace sockmesh::config
