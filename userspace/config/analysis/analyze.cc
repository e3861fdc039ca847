#include "config/analysis/analyze.h"

#include <algorithm>
#include <tuple>

#include "config/analysis/context.h"
#include "model/finding_codes.h"

namespace sockmesh::config {

namespace {

using model::Severity;

struct Step {
  Analyzer analyzer;
  void (*run)(Analysis&);
};

const Step kSteps[] = {
    {{"annotations", "Istio annotations are known, placed where they have an effect and readable"},
     analyze_annotations},
    {{"namespaces", "namespaces and pods are part of the mesh as their labels say"}, analyze_namespaces},
    {{"services", "port names give a protocol, ExternalName Services capture nothing"}, analyze_services},
    {{"service-entries", "ServiceEntries have addresses and agree on protocols"}, analyze_service_entries},
    {{"workloads", "Services that share pods agree on ports and protocols"}, analyze_workloads},
    {{"references", "hosts, subsets, gateways and selectors that are named exist"}, analyze_references},
    {{"destination-rules", "rules and subsets select somebody"}, analyze_destination_rules},
    {{"policies", "policies have an effect, and TLS is verified"}, analyze_policies},
    {{"virtual-services", "routes are reachable, unambiguous and lead somewhere"}, analyze_virtual_services},
    {{"sidecars", "at most one Sidecar applies to a workload"}, analyze_sidecars},
    {{"gateways", "gateways do not take ports from each other, and lead somewhere"}, analyze_gateways},
    {{"gateway-ports", "the ports of gateways are exposed by their Services"}, analyze_gateway_ports},
    {{"shadowing", "no object changes where another's traffic goes"}, analyze_shadowing},
    {{"endpoints", "declared endpoints belong to somebody"}, analyze_endpoints},
};

// "VirtualService default/echo" of a ReadProblem.
model::OriginPtr origin_of(const ReadProblem& problem) {
  model::Origin origin;
  const size_t blank = problem.object.find(' ');
  origin.kind = problem.object.substr(0, blank);
  if (blank != std::string::npos) {
    const std::string rest = problem.object.substr(blank + 1);
    const size_t slash = rest.find('/');
    if (slash != std::string::npos) origin.ns = rest.substr(0, slash);
    origin.name = slash == std::string::npos ? rest : rest.substr(slash + 1);
  }
  origin.file = problem.file;
  origin.line = problem.line;
  return std::make_shared<const model::Origin>(std::move(origin));
}

}  // namespace

std::vector<model::Finding> analyze(const Resources& resources, const std::vector<ReadProblem>& problems) {
  Analysis analysis(resources);
  for (const Step& step : kSteps) step.run(analysis);
  std::vector<model::Finding> findings = std::move(analysis.findings);
  for (const ReadProblem& problem : problems) {
    std::string text =
        "Schema validation error: " + (problem.field.empty() ? "" : problem.field + ": ") + problem.text;
    if (problem.object_dropped) text += " (object left out)";
    findings.push_back(model::make_finding("IST0106", origin_of(problem), std::move(text)));
  }
  std::stable_sort(findings.begin(), findings.end(), [](const model::Finding& a, const model::Finding& b) {
    const auto key = [](const model::Finding& f) {
      return std::tie(f.object->ns, f.object->kind, f.object->name, f.code, f.object->line, f.text);
    };
    return key(a) < key(b);
  });
  return findings;
}

const std::vector<Analyzer>& analyzers() {
  static const std::vector<Analyzer> all = [] {
    std::vector<Analyzer> out;
    for (const Step& step : kSteps) out.push_back(step.analyzer);
    return out;
  }();
  return all;
}

}  // namespace sockmesh::config
