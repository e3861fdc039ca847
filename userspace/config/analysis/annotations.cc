#include <algorithm>

#include "base/strings.h"
#include "config/analysis/context.h"

namespace sockmesh::config {

namespace {

using Check = Result<void> (*)(std::string_view);

template <typename Parse>
Result<void> check_list(std::string_view text, std::string_view all, const Parse& parse,
                        std::string_view expected) {
  for (const std::string_view part : split(text, ',', true)) {
    if (part != all && !parse(trim(part))) return fail("'{}': expected {}", trim(part), expected);
  }
  return {};
}
Result<void> check_ports(std::string_view text) {
  return check_list(
      text, "*",
      [](std::string_view part) {
        const auto port = parse_number<uint16_t>(part);
        return port && *port != 0;
      },
      "port numbers, separated by commas");
}
Result<void> check_blocks(std::string_view text) {
  return check_list(
      text, "*", [](std::string_view part) { return Prefix::parse(part).has_value(); },
      "CIDR blocks, separated by commas");
}
Result<void> check_bool(std::string_view text) {
  if (text == "true" || text == "false") return {};
  return fail("'{}': expected true or false", text);
}
Result<void> check_mode(std::string_view text) {
  if (text == "REDIRECT" || text == "TPROXY" || text == "NONE") return {};
  return fail("'{}': expected REDIRECT, TPROXY or NONE", text);
}
Result<void> check_export(std::string_view text) {
  return check_list(
      text, "*",
      [](std::string_view part) {
        return part == "." || part == "~" || part.find_first_of(" /*") == std::string_view::npos;
      },
      "namespaces, *, . or ~, separated by commas");
}

struct Known {
  std::string_view name, kind;  // kind "": any
  Check check = nullptr;
  std::string_view instead = {};  // deprecated in favour of
};
// Those that concern traffic or are common on its objects (docs/istio.md#analyze).
constexpr Known kKnown[] = {
    {"traffic.sidecar.istio.io/includeInboundPorts", "Pod", check_ports},
    {"traffic.sidecar.istio.io/excludeInboundPorts", "Pod", check_ports},
    {"traffic.sidecar.istio.io/includeOutboundPorts", "Pod", check_ports},
    {"traffic.sidecar.istio.io/excludeOutboundPorts", "Pod", check_ports},
    {"traffic.sidecar.istio.io/includeOutboundIPRanges", "Pod", check_blocks},
    {"traffic.sidecar.istio.io/excludeOutboundIPRanges", "Pod", check_blocks},
    {"traffic.sidecar.istio.io/excludeInterfaces", "Pod"},
    {"traffic.sidecar.istio.io/kubevirtInterfaces", "Pod"},
    {"istio.io/reroute-virtual-interfaces", "Pod"},
    {"sidecar.istio.io/interceptionMode", "Pod", check_mode},
    {"sidecar.istio.io/inject", "Pod", check_bool, "label sidecar.istio.io/inject"},
    {"sidecar.istio.io/status", "Pod"},
    {"sidecar.istio.io/proxyImage", "Pod"},
    {"sidecar.istio.io/proxyImageType", "Pod"},
    {"sidecar.istio.io/proxyCPU", "Pod"},
    {"sidecar.istio.io/proxyCPULimit", "Pod"},
    {"sidecar.istio.io/proxyMemory", "Pod"},
    {"sidecar.istio.io/proxyMemoryLimit", "Pod"},
    {"sidecar.istio.io/logLevel", "Pod"},
    {"sidecar.istio.io/componentLogLevel", "Pod"},
    {"sidecar.istio.io/agentLogLevel", "Pod"},
    {"sidecar.istio.io/rewriteAppHTTPProbers", "Pod", check_bool},
    {"sidecar.istio.io/nativeSidecar", "Pod", check_bool},
    {"sidecar.istio.io/userVolume", "Pod"},
    {"sidecar.istio.io/userVolumeMount", "Pod"},
    {"sidecar.istio.io/bootstrapOverride", "Pod"},
    {"sidecar.istio.io/discoveryAddress", "Pod", nullptr, "proxy.istio.io/config"},
    {"status.sidecar.istio.io/port", "Pod", check_ports},
    {"readiness.status.sidecar.istio.io/applicationPorts", "Pod"},
    {"readiness.status.sidecar.istio.io/initialDelaySeconds", "Pod"},
    {"readiness.status.sidecar.istio.io/periodSeconds", "Pod"},
    {"readiness.status.sidecar.istio.io/failureThreshold", "Pod"},
    {"proxy.istio.io/config", "Pod"},
    {"proxy.istio.io/overrides", "Pod"},
    {"inject.istio.io/templates", "Pod"},
    {"prometheus.istio.io/merge-metrics", "Pod", check_bool},
    {"ambient.istio.io/redirection", "Pod"},
    {"ambient.istio.io/bypass-inbound-capture", "Pod"},
    {"istio.io/rev", "Pod"},
    {"networking.istio.io/exportTo", "Service", check_export},
    {"networking.istio.io/traffic-distribution", "Service"},
    {"networking.istio.io/service-type", ""},
    {"networking.istio.io/address-type", ""},
    {"topology.istio.io/controlPlaneClusters", "Namespace"},
    {"galley.istio.io/analyze-suppress", ""},
    {"sockmesh.io/egressPermit", "Pod", check_blocks},
    {"sockmesh.io/egressBlock", "Pod", check_blocks},
};

bool is_istio_name(std::string_view annotation) {
  const std::string_view prefix = annotation.substr(0, annotation.find('/'));
  return prefix.size() < annotation.size() &&
         (prefix == "istio.io" || prefix.ends_with(".istio.io") || prefix == "sockmesh.io");
}

void check_annotations(Analysis& analysis, const Meta& meta) {
  for (const auto& [name, value] : meta.annotations) {
    if (!is_istio_name(name)) continue;
    const std::string& key = name;
    const auto known =
        std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& k) { return k.name == key; });
    if (known == std::end(kKnown)) {
      analysis.find("IST0108", meta, 0, "Unknown annotation: " + name);
    } else if (!known->kind.empty() && known->kind != meta.kind) {
      analysis.find("IST0107", meta, 0,
                    fmt::format("Misplaced annotation: {} can only be applied to {}", name, known->kind));
    } else {
      if (!known->instead.empty()) {
        analysis.find(
            "IST0135", meta, 0,
            fmt::format("Annotation \"{}\" has been deprecated in favor of {} and may not work in future "
                        "Istio versions.",
                        name, known->instead));
      }
      if (!known->check) continue;
      if (const auto good = known->check(value); !good) {
        analysis.find("IST0125", meta, 0,
                      fmt::format("Invalid annotation {}: {}", name, good.error().message));
      }
    }
  }
}

template <typename T>
void check_annotations(Analysis& analysis, const List<T>& objects) {
  for (const auto& object : objects) check_annotations(analysis, object->meta);
}

}  // namespace

void analyze_annotations(Analysis& analysis) {
  const Resources& r = analysis.resources;
  check_annotations(analysis, r.services);
  check_annotations(analysis, r.pods);
  check_annotations(analysis, r.namespaces);
  check_annotations(analysis, r.service_entries);
  check_annotations(analysis, r.virtual_services);
  check_annotations(analysis, r.destination_rules);
  check_annotations(analysis, r.gateways);
  check_annotations(analysis, r.sidecars);
  check_annotations(analysis, r.workload_entries);
}

}  // namespace sockmesh::config
