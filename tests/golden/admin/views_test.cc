#include "admin/views.h"

#include <nlohmann/json.hpp>

#include "../golden.h"
#include "admin/envoy_dump.h"
#include "sample.h"

namespace sockmesh::admin {

namespace {

void check(const std::string& name, const Json& view) {
  check_golden(std::string(GOLDEN_DIR) + "/" + name + ".json", view.dump(1) + "\n");
}

}  // namespace

TEST_CASE("flows") { check("flows", flows_view(sample_flows(), kSampleNow)); }
TEST_CASE("listeners") { check("listeners", listeners_view(*sample_snapshot(), sample_status().unbound)); }
TEST_CASE("clusters") { check("clusters", clusters_view(*sample_snapshot())); }
TEST_CASE("endpoints") { check("endpoints", endpoints_view(*sample_snapshot(), sample_states())); }
TEST_CASE("status") {
  check("status", status_view(sample_status(), {true, ""}, sample_snapshot().get(), kSampleWall));
}
TEST_CASE("status before any configuration") {
  check("status-empty", status_view(sample_status(), {false, "no configuration received from /etc/sockmesh"},
                                    nullptr, kSampleWall));
}
TEST_CASE("explain an address") {
  check("explain", explanation_view(sample_explanation(), {}, nullptr, kSampleNow));
}
TEST_CASE("explain an open flow") {
  const auto flows = sample_flows();
  check("explain-flow", explanation_view(sample_explanation(), {}, &flows.flows[0], kSampleNow));
}
TEST_CASE("config_dump in Envoy's shape") {
  check("config_dump", config_dump(*sample_snapshot(), sample_status(), {.include_eds = true}));
}
TEST_CASE("a masked config_dump holds what was asked for") {
  const Json dump = config_dump(*sample_snapshot(), sample_status(), {.mask = "dynamic_listeners"});
  REQUIRE(dump["configs"].size() == 1);
  CHECK(dump["configs"][0]["@type"] == "type.googleapis.com/envoy.admin.v3.ListenersConfigDump");
}
TEST_CASE("clusters?format=json in Envoy's shape") {
  check("cluster_statuses", cluster_statuses(*sample_snapshot(), sample_states()));
}
TEST_CASE("clusters as text") {
  check_golden(std::string(GOLDEN_DIR) + "/clusters.txt",
               cluster_statuses_text(*sample_snapshot(), sample_states()));
}
TEST_CASE("server_info") {
  check("server_info", server_info(sample_status(), {true, ""}, sample_snapshot().get(), kSampleWall));
}

}  // namespace sockmesh::admin
