// Balancer: one worker's way to choose a host of one cluster. It turns the cluster's endpoints, resolved
// names, health and ejections into the hosts that are eligible (host_groups.h), and asks a Picker.
// The lists are rebuilt only when something they depend on changed. Worker thread only.
#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "model/snapshot.h"
#include "upstream/cluster_state.h"
#include "upstream/host.h"
#include "upstream/host_groups.h"
#include "upstream/name_cache.h"
#include "upstream/picker.h"

namespace sockmesh::upstream {

bool is_dns(const model::Cluster& cluster);  // its hosts are names

// Endpoints as hosts: names replaced by the addresses they resolve to (all of them in STRICT_DNS, the first
// of the last ones there were in LOGICAL_DNS), endpoints of weight 0 left out.
struct Expanded {
  HostList hosts;
  bool names_pending = false;  // some name has not been looked up yet
};
Expanded expand(const model::Cluster& cluster, ClusterState& state, const NameCache& names,
                MonotonicTime now);

class Balancer {
 public:
  Balancer(model::ClusterPtr cluster, ClusterStatePtr state, const NameCache& names, uint64_t seed);

  enum class Nobody { kNoHealthyHost, kNamesPending };
  // `avoid`: addresses that failed this connection already; they are never chosen again.
  std::variant<Host, Nobody> pick(const PickInput& input, const std::vector<model::EndpointAddress>& avoid);

  const model::ClusterPtr& cluster() const { return cluster_; }
  const HostList& hosts() const { return hosts_; }  // as of the last pick

 private:
  struct Group {  // a HostGroup with its picker, which refers to the list
    double weight = 0;
    std::vector<const Host*> hosts;
    std::unique_ptr<Picker> picker;
  };
  struct Level {  // a HostLevel of such groups
    uint32_t percent = 0;
    std::vector<std::unique_ptr<Group>> groups;
    double weight = 0;
  };

  void refresh(MonotonicTime now);
  void rebuild(MonotonicTime now);
  Group* draw_group();

  const model::ClusterPtr cluster_;
  const ClusterStatePtr state_;
  const NameCache& names_;
  Random random_;

  // What the lists were built from.
  uint64_t health_version_ = 0, names_version_ = 0;
  MonotonicTime valid_until_{};  // when the next ejection ends

  HostList hosts_;
  bool names_pending_ = false;
  std::vector<Level> levels_;
};

}  // namespace sockmesh::upstream
