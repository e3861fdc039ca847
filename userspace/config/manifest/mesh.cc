#include <utility>

#include "config/manifest/formats.h"
#include "config/manifest/kinds.h"

// MeshConfig is text inside a ConfigMap: YAML within YAML. As a block scalar, the way Istio writes it, its
// lines are lines of the file and are reported so.
namespace sockmesh::config {

namespace {

using std::string_view_literals::operator""sv;

constexpr Choice kOutboundModes{std::pair{"REGISTRY_ONLY"sv, true}, std::pair{"ALLOW_ANY"sv, false},
                                std::pair{"ALLOW_ANY_DYNAMIC_DNS"sv, false}};
constexpr Choice kInboundModes{std::pair{"PASSTHROUGH"sv, false}, std::pair{"LOCALHOST"sv, true}};
constexpr Choice kLogEncodings{std::pair{"TEXT"sv, model::AccessLogEncoding::kText},
                               std::pair{"JSON"sv, model::AccessLogEncoding::kJson}};
constexpr Words kCompatibilityVersions{"1.5"};

template <typename Format>
void read_optional_duration(const Fields& in, std::string_view key, std::optional<Duration>& out,
                            const Format& format) {
  Duration value{};
  if (in.has(key) && in.read(key, value, format)) out = value;
}

// What decides policy leaves the whole MeshConfig out when it cannot be read, so that the last good one
// holds, or none at all; istiod, too, takes a mesh configuration whole or not at all. The rest is used in
// part.
void read_traffic(const Fields& in, MeshConfig& mesh) {
  vital_child(in, "outboundTrafficPolicy").read("mode", mesh.outbound_registry_only, kOutboundModes, kVital);
  vital_child(in, "inboundTrafficPolicy").read("mode", mesh.inbound_localhost, kInboundModes, kVital);
  read_optional_duration(in, "connectTimeout", mesh.connect_timeout, kPositiveDuration);
  read_optional_duration(in, "protocolDetectionTimeout", mesh.protocol_detection_timeout, kDuration);
  read_optional_duration(in, "dnsRefreshRate", mesh.dns_refresh_rate, kPositiveDuration);
  read_part(in, "tcpKeepalive", mesh.keepalive, read_keepalive);
  TrafficPolicy::LoadBalancer locality;
  read_locality(in.child("localityLbSetting"), locality);
  mesh.locality_enabled = locality.locality_enabled;
  mesh.distribute = std::move(locality.distribute);
  mesh.failover = std::move(locality.failover);
  mesh.failover_priority = std::move(locality.failover_priority);
  read_part(in, "defaultTrafficPolicy", mesh.default_traffic_policy,
            [](const Fields& policy, TrafficPolicy& out) {
              out.line = policy.line();
              read_part(policy, "connectionPool", out.connection_pool, read_connection_pool);
              read_part(policy, "outlierDetection", out.outlier, read_outlier);
            });
}

void read_names(const Fields& in, MeshConfig& mesh) {
  in.read("rootNamespace", mesh.root_namespace, kNamespaceName, kVital);  // whose Sidecar is everybody's
  in.read("trustDomain", mesh.trust_domain, kHost);
  // Empty, they would mean everybody.
  in.list("defaultServiceExportTo", mesh.default_service_export_to, kText, kVital);
  in.list("defaultVirtualServiceExportTo", mesh.default_virtual_service_export_to, kText, kVital);
  in.list("defaultDestinationRuleExportTo", mesh.default_destination_rule_export_to, kText, kVital);
  in.read("compatibilityVersion", mesh.compatibility_version, kCompatibilityVersions);
}

void read_proxy_config(const Fields& in, MeshConfig& mesh) {
  in.read("meshId", mesh.mesh_id, kText);
  read_optional_duration(in, "drainDuration", mesh.drain_duration, kDuration);
  read_optional_duration(in, "terminationDrainDuration", mesh.termination_drain_duration, kDuration);
  const Fields topology = in.child("gatewayTopology");
  mesh.gateway_proxy_protocol = topology.child("proxyProtocol").present();
}

// `sockmesh`: what Istio has no field for. A permit less closes; a block less would open.
void read_own(const Fields& in, MeshConfig& mesh) {
  in.read("domain", mesh.domain, kHost);  // istiod has it from its command line
  const Fields egress = vital_child(in, "egress");
  egress.list("permit", mesh.egress_permit, kPrefix);
  egress.list("block", mesh.egress_block, kPrefix, kVital);
  if (const yaml::Node* block = egress.node("block");
      block != nullptr && block->is_sequence() && mesh.egress_block.size() < block->members.size())
    egress.drop();
  egress.read("blockAll", mesh.egress_block_all, kBool, kVital);
}

void read_mesh(const Fields& in, MeshConfig& mesh) {
  read_traffic(in, mesh);
  read_names(in, mesh);
  in.read("accessLogFile", mesh.access_log_file, kText);
  in.read("accessLogFormat", mesh.access_log_format, kText);
  in.read("accessLogEncoding", mesh.access_log_encoding, kLogEncodings);
  read_proxy_config(in.child("defaultConfig"), mesh);
  read_own(vital_child(in, "sockmesh"), mesh);
}

}  // namespace

void read_config_map(const Fields& object, Meta&& meta, Resources& out) {
  if (meta.ns != "istio-system" || meta.name != "istio") return;
  MeshConfig mesh{std::move(meta)};
  mesh.meta.kind = "MeshConfig";
  const Fields data = object.child("data");
  const yaml::Node* text = data.node("mesh");
  if (!text || !text->is_scalar()) {
    object.report("data", "no text under 'mesh': expected MeshConfig as text");
    object.drop();
    return;
  }
  ReadContext& context = object.context();
  if (!text->literal) context.pin_line(text->line);
  bool read = false;
  yaml::read_documents(text->text, text->line, [&](const yaml::Document& document) {
    for (const yaml::Problem& remark : document.remarks)
      context.report(remark.line, "data.mesh", remark.text);
    context.count(document.unlisted_remarks);
    if (document.root == nullptr) {
      context.report(document.broken->line, "data.mesh", document.broken->text);
      context.drop_object();
    } else if (std::exchange(read, true)) {  // Istio would read the first one alone
      context.report(document.root->line, "data.mesh", "a second document: expected one");
      context.drop_object();
    } else if (!document.root->is_mapping()) {
      context.report(document.root->line, "data.mesh",
                     fmt::format("{}: expected fields of MeshConfig", quoted(document.root->text)));
      context.drop_object();
    } else {
      read_mesh(Fields(document.root, context), mesh);
    }
  });
  context.pin_line(0);
  if (!context.dropped()) out.mesh = std::make_shared<const MeshConfig>(std::move(mesh));
}

}  // namespace sockmesh::config
