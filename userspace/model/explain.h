// Why a connection goes where it goes: the decision of match.h told step by step, with the object and
// file:line behind each step and each losing candidate with the reason it lost. Pure, any thread; not for the
// hot path.
#pragma once

#include <string>
#include <vector>

#include "model/direct.h"
#include "model/match.h"

namespace sockmesh::model {

struct ExplainStep {
  std::string
      stage;  // "interception", "listener", "filterChain", "route", "cluster", "endpoints", "outcome", "lane"
  std::string text;  // one sentence
  OriginPtr object;  // null when nobody's object made it so
};

struct Explanation {
  ConnectionInfo connection;
  std::string listener;      // name, "" where nobody listens
  std::string filter_chain;  // name, "" with NR
  std::vector<WeightedCluster> route;
  struct ClusterPart {
    std::string name;
    ClusterPtr cluster;  // null: NC
    double share = 1.0;  // of new connections, 0..1
  };
  std::vector<ClusterPart> clusters;
  ResponseFlags expected;  // flags that every such connection would end with, as far as configuration tells
  std::vector<ExplainStep> steps;
  std::vector<Loser> losers;
  std::vector<std::string> cures;  // what to change when this looks like an accident
};

Explanation explain(const Snapshot& snapshot, const ConnectionInfo& connection);

// Whether the application's own connection may go to the endpoint (lane 3), where there is such a lane. By
// configuration alone: what changes by the minute, as names that are not resolved yet, is not looked at.
ExplainStep explain_lane(const Snapshot& snapshot, const ConnectionInfo& connection,
                         const DirectTerms& terms);

}  // namespace sockmesh::model
