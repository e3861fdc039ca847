#include "config/manifest/reader.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "config/manifest/formats.h"
#include "config/manifest/kinds.h"

namespace sockmesh::config {

namespace {

constexpr std::array<std::string_view, 1> kCoreVersions{"v1"};
constexpr std::array<std::string_view, 2> kDiscoveryVersions{"v1", "v1beta1"};
constexpr std::array<std::string_view, 3> kIstioVersions{"v1", "v1beta1", "v1alpha3"};
constexpr std::array<std::string_view, 3> kPolicyVersions{"v1", "v1beta1", "v1alpha1"};
constexpr std::array<std::string_view, 4> kGatewayApiVersions{"v1", "v1beta1", "v1alpha3", "v1alpha2"};

struct Kind {
  std::string_view group, name;
  std::span<const std::string_view> versions;
  bool namespaced;
  KindReader read;
};

constexpr Kind kKinds[] = {
    {"", "Service", kCoreVersions, true, read_service},
    {"", "Pod", kCoreVersions, true, read_pod},
    {"", "Endpoints", kCoreVersions, true, read_endpoints},
    {"", "Node", kCoreVersions, false, read_node},
    {"", "Namespace", kCoreVersions, false, read_namespace},
    {"", "ConfigMap", kCoreVersions, true, read_config_map},
    {"discovery.k8s.io", "EndpointSlice", kDiscoveryVersions, true, read_endpoint_slice},
    {"networking.istio.io", "WorkloadEntry", kIstioVersions, true, read_workload_entry},
    {"networking.istio.io", "ServiceEntry", kIstioVersions, true, read_service_entry},
    {"networking.istio.io", "VirtualService", kIstioVersions, true, read_virtual_service},
    {"networking.istio.io", "DestinationRule", kIstioVersions, true, read_destination_rule},
    {"networking.istio.io", "Gateway", kIstioVersions, true, read_gateway},
    {"networking.istio.io", "Sidecar", kIstioVersions, true, read_sidecar},
    {"security.istio.io", "AuthorizationPolicy", kPolicyVersions, true, read_policy},
    {"security.istio.io", "PeerAuthentication", kPolicyVersions, true, read_policy},
    {"security.istio.io", "RequestAuthentication", kPolicyVersions, true, read_policy},
    {"telemetry.istio.io", "Telemetry", kPolicyVersions, true, read_policy},
    {"extensions.istio.io", "WasmPlugin", kPolicyVersions, true, read_policy},
    {"gateway.networking.k8s.io", "Gateway", kGatewayApiVersions, true, read_k8s_gateway},
    {"gateway.networking.k8s.io", "TCPRoute", kGatewayApiVersions, true, read_k8s_route},
    {"gateway.networking.k8s.io", "TLSRoute", kGatewayApiVersions, true, read_k8s_route},
    {"gateway.networking.k8s.io", "ReferenceGrant", kGatewayApiVersions, true, read_reference_grant},
};

struct Type {
  std::string api_version, kind;
  std::string_view group() const {
    const size_t slash = api_version.find('/');
    return slash == std::string::npos ? std::string_view() : std::string_view(api_version).substr(0, slash);
  }
  std::string_view version() const {
    const size_t slash = api_version.find('/');
    return slash == std::string::npos ? std::string_view(api_version)
                                      : std::string_view(api_version).substr(slash + 1);
  }
};

class Reader {
 public:
  Reader(const std::string& file, Resources& resources, size_t max_objects)
      : file_(std::make_shared<const std::string>(file)),
        resources_(resources),
        max_objects_(max_objects),
        context_(file, report_) {}

  ReadReport read(std::string_view text) {
    yaml::read_documents(text, 1, [&](const yaml::Document& document) {
      if (report_.full) return;
      context_.begin_object("");
      for (const yaml::Problem& remark : document.remarks) context_.report(remark.line, "", remark.text);
      context_.count(document.unlisted_remarks);
      if (document.broken) {
        unknown(document.broken->line, document.broken->text);
      } else if (!document.root->is_null()) {
        object(*document.root, {});
      }
    });
    auto& problems = report_.problems.first;
    std::stable_sort(problems.begin(), problems.end(),
                     [](const ReadProblem& a, const ReadProblem& b) { return a.line < b.line; });
    return std::move(report_);
  }

 private:
  // It is not known what a part of the text declares.
  void unknown(int line, std::string why) {
    context_.report(line, "", std::move(why));
    report_.all_readable = false;
  }

  // `defaults`: apiVersion and kind of the items of a typed list (ServiceList), which need not repeat them.
  void object(const yaml::Node& node, const Type& defaults) {
    context_.begin_object("");
    if (!node.is_mapping()) {
      return context_.report(node.line, "", "expected an object with apiVersion, kind and metadata");
    }
    const Fields fields(&node, context_);
    Type type = defaults;
    const Need need = defaults.kind.empty() ? kRequired : kOptional;
    const bool versioned = fields.read("apiVersion", type.api_version, kText, need);
    const bool kind_known = fields.read("kind", type.kind, kText, need);
    if (!versioned || !kind_known) {
      // Without either it is no object at all, a file of some other tool.
      if (fields.has("kind") || fields.has("apiVersion")) report_.all_readable = false;
      return;
    }
    if (type.kind.ends_with("List") && fields.has("items")) return list(*node.find("items"), type);
    for (const Kind& kind : kKinds) {
      if (kind.name == type.kind && kind.group == type.group()) return known_object(fields, kind, type);
    }
  }

  void list(const yaml::Node& items, const Type& type) {
    if (!items.is_sequence()) return context_.report(items.line, "items", "expected a list");
    Type inner;
    if (type.kind != "List") inner = {type.api_version, type.kind.substr(0, type.kind.size() - 4)};
    for (const yaml::Member& item : items.members) {
      if (report_.full) return;
      object(*item.value, inner);
    }
  }

  void known_object(const Fields& fields, const Kind& kind, const Type& type) {
    if (std::find(kind.versions.begin(), kind.versions.end(), type.version()) == kind.versions.end()) {
      report_.all_readable = false;
      return fields.report("apiVersion", fmt::format("{}: expected one of the versions {} of {}",
                                                     quoted(type.api_version), fmt::join(kind.versions, ", "),
                                                     kind.group.empty() ? "the core group" : kind.group));
    }
    if (report_.objects == max_objects_) {
      report_.full = true;
      return unknown(fields.line(),
                     fmt::format("more than {} objects: not read, nor what follows", kMaxObjects));
    }
    ++report_.objects;
    Meta meta;
    meta.kind = kind.name;
    meta.file = file_;
    meta.line = fields.line();
    if (!read_meta(fields, kind.namespaced, meta)) {
      report_.all_readable = false;
      return;
    }
    kind.read(fields, std::move(meta), resources_);
  }

  std::shared_ptr<const std::string> file_;
  Resources& resources_;
  const size_t max_objects_;
  ReadReport report_;
  ReadContext context_;
};

}  // namespace

ReadReport read_manifest(std::string_view text, const std::string& file, Resources& resources,
                         size_t max_objects) {
  return Reader(file, resources, max_objects).read(text);
}

bool read_manifest(std::string_view text, const std::string& file, Resources& resources,
                   std::vector<ReadProblem>& problems) {
  ReadReport report = read_manifest(text, file, resources);
  const size_t unlisted = report.problems.count - report.problems.first.size();
  problems.insert(problems.end(), std::make_move_iterator(report.problems.first.begin()),
                  std::make_move_iterator(report.problems.first.end()));
  if (unlisted > 0) problems.push_back({file, 0, "", "", fmt::format("{} problems more", unlisted), false});
  return report.all_readable;
}

}  // namespace sockmesh::config
