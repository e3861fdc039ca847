#include "server/name_status.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

namespace sockmesh::server {

namespace {

using upstream::NameAnswer;
using upstream::NameState;

bool is_logical(const model::Cluster& cluster) { return cluster.type == model::ClusterType::kLogicalDns; }

// Every endpoint of the snapshot that is a name.
void each_name(const model::Snapshot& snapshot,
               const std::function<void(const model::Cluster&, const model::HostName&)>& visit) {
  for (const auto& [name, cluster] : snapshot.clusters)
    for (const model::Endpoint& endpoint : cluster->endpoints)
      if (const auto* host = std::get_if<model::HostName>(&endpoint.address)) visit(*cluster, *host);
}

const NameAnswer& find(const NameAnswers& answers, const std::string& name) {
  static const NameAnswer nothing_yet;
  const auto found = answers.find(name);
  return found == answers.end() ? nothing_yet : *found->second;
}

// The addresses that a cluster dials.
std::vector<IpAddress> in_use(const NameAnswer& answer, bool logical) {
  if (!logical) return answer.addresses;
  std::vector<IpAddress> first = answer.last_addresses;
  if (first.size() > 1) first.resize(1);
  return first;
}

admin::NameStatus status_of(const std::string& name, const NameAnswer& answer,
                            const std::vector<IpAddress>& addresses, MonotonicTime now) {
  admin::NameStatus status{name, upstream::to_string(answer.state), {}, answer.error, std::nullopt};
  for (const IpAddress& ip : addresses) status.addresses.push_back(ip.to_string());
  if (answer.answered != MonotonicTime{}) status.answer_age = now - answer.answered;
  return status;
}

}  // namespace

std::vector<admin::NameStatus> unwell_names(const model::Snapshot& snapshot, const NameAnswers& answers,
                                            MonotonicTime now) {
  std::map<std::string, bool> names;  // whether every cluster that uses it is LOGICAL_DNS
  each_name(snapshot, [&](const model::Cluster& cluster, const model::HostName& host) {
    const auto [entry, added] = names.try_emplace(host.name, true);
    entry->second = entry->second && is_logical(cluster);
  });
  std::vector<admin::NameStatus> unwell;
  for (const auto& [name, logical] : names) {
    const NameAnswer& answer = find(answers, name);
    const bool ended = answer.attempts > 0;
    if (!ended || answer.state == NameState::kAnswered) continue;
    if (unwell.size() == kMaxNamesTold) break;
    unwell.push_back(status_of(name, answer, in_use(answer, logical), now));
  }
  return unwell;
}

std::vector<admin::EndpointState> named_endpoints(const model::Snapshot& snapshot, const NameAnswers& answers,
                                                  const std::vector<admin::EndpointState>& states,
                                                  MonotonicTime now) {
  std::unordered_map<std::string, const admin::EndpointState*> known;
  for (const admin::EndpointState& state : states) known[state.cluster + '\n' + state.address] = &state;
  std::vector<admin::EndpointState> named;
  each_name(snapshot, [&](const model::Cluster& cluster, const model::HostName& host) {
    const NameAnswer& answer = find(answers, host.name);
    const std::vector<IpAddress> addresses = in_use(answer, is_logical(cluster));
    admin::EndpointState sum{cluster.name, model::to_string(model::EndpointAddress(host))};
    sum.name = status_of(host.name, answer, addresses, now);
    size_t ejected = 0;
    for (const IpAddress& ip : addresses) {
      const auto found =
          known.find(std::string(cluster.name) + '\n' + SocketAddress{ip, host.port}.to_string());
      if (found == known.end()) continue;
      ejected += found->second->ejected ? 1 : 0;
      sum.connections_active += found->second->connections_active;
      sum.connections_total += found->second->connections_total;
      sum.connect_failures += found->second->connect_failures;
    }
    sum.ejected = ejected > 0 && ejected == addresses.size();
    named.push_back(std::move(sum));
  });
  return named;
}

telemetry::DnsTotals dns_totals(const model::Snapshot& snapshot, const NameAnswers& answers,
                                MonotonicTime now) {
  telemetry::DnsTotals totals;
  each_name(snapshot, [&](const model::Cluster& cluster, const model::HostName& host) {
    const NameAnswer& answer = find(answers, host.name);
    // Envoy's LOGICAL_DNS takes an empty answer for a failure, its STRICT_DNS for a success.
    const bool logical = is_logical(cluster);
    telemetry::DnsTotals::Updates& updates = totals.clusters[cluster.name];
    updates.attempt += answer.attempts;
    updates.success += answer.with_addresses + (logical ? 0 : answer.empties);
    updates.failure += answer.failures + (logical ? answer.empties : 0);
    updates.empty += answer.empties;
    if (answer.answered != MonotonicTime{})
      totals.answer_age_seconds[host.name] = std::chrono::duration<double>(now - answer.answered).count();
  });
  return totals;
}

}  // namespace sockmesh::server
