#include "ctl/plan_view.h"

namespace sockmesh::ctl {

namespace {

const char* kind_text(model::ChangeKind kind) {
  switch (kind) {
    case model::ChangeKind::kAdded:
      return "added";
    case model::ChangeKind::kRemoved:
      return "removed";
    case model::ChangeKind::kChanged:
      break;
  }
  return "changed";
}

Json object_or_null(const model::OriginPtr& origin) {
  return origin ? Json(origin->to_string()) : Json(nullptr);
}

Json changes(const std::vector<model::PlanChange>& list) {
  Json json = Json::array();
  for (const model::PlanChange& change : list)
    json.push_back({{"kind", kind_text(change.kind)},
                    {"name", change.name},
                    {"details", change.details},
                    {"object", object_or_null(change.object)}});
  return json;
}

}  // namespace

Json plan_view(const model::Plan& plan, const std::string& version_before, const std::string& version_after) {
  Json routes = Json::array(), flows = Json::array();
  for (const model::RouteChange& change : plan.routes)
    routes.push_back({{"kind", kind_text(change.kind)},
                      {"listener", change.listener},
                      {"match", change.match},
                      {"before", change.before},
                      {"after", change.after},
                      {"object", object_or_null(change.object)}});
  for (const model::FlowChange& change : plan.flows)
    flows.push_back({{"id", change.flow.id},
                     {"downstream", change.flow.source.to_string()},
                     {"originalDestination", change.flow.original_destination.to_string()},
                     {"before", change.flow.cluster},
                     {"after", change.after},
                     {"reason", change.reason},
                     {"object", object_or_null(change.object)}});
  return {{"versionBefore", version_before},
          {"versionAfter", version_after},
          {"empty", plan.empty()},
          {"routes", std::move(routes)},
          {"listeners", changes(plan.listeners)},
          {"clusters", changes(plan.clusters)},
          {"endpoints", changes(plan.endpoints)},
          {"flowsSeen", plan.flows_seen},
          {"flows", std::move(flows)}};
}

}  // namespace sockmesh::ctl
