#include "config/analysis/context.h"

#include <algorithm>

#include "base/strings.h"
#include "config/registry/endpoints.h"
#include "config/resources/hostnames.h"
#include "model/finding_codes.h"

namespace sockmesh::config {

namespace {

constexpr char kSuppress[] = "galley.istio.io/analyze-suppress";

bool annotated_as_known(const Meta& meta, std::string_view code) {
  const auto annotation = meta.annotations.find(kSuppress);
  if (annotation == meta.annotations.end()) return false;
  for (const std::string_view part : split(annotation->second, ',')) {
    if (trim(part) == "*" || trim(part) == code) return true;
  }
  return false;
}

}  // namespace

Analysis::Analysis(const Resources& all)
    : resources(all), mesh(all.mesh ? all.mesh : std::make_shared<const MeshConfig>()), index(all) {
  for (const auto& service : all.services) registry.push_back(define(service, *mesh));
  for (const auto& entry : all.service_entries) {
    for (ServiceDefPtr& def : define(entry, *mesh)) registry.push_back(std::move(def));
  }
  std::sort(registry.begin(), registry.end(), [](const auto& a, const auto& b) { return older(*a, *b); });
  for (const ServiceDefPtr& def : registry) {
    by_host_[def->host].push_back(def);
    if (is_wildcard(def->host)) wildcards_.push_back(def);
  }
  for (const auto& rule : all.destination_rules) {
    const std::string host = full_name(rule->host, rule->meta.ns);
    if (is_wildcard(host)) {
      wildcard_rules_.emplace_back(host, rule.get());
    } else {
      rules_[host].push_back(rule.get());
    }
  }
  for (const auto& gateway : all.gateways) gateways_[slashed(gateway->meta)] = gateway.get();
}

std::string Analysis::full_name(const std::string& host, const std::string& ns) const {
  return config::full_name(host, ns, mesh->domain);
}

const std::vector<ServiceDefPtr>& Analysis::definitions_of(const std::string& full_host) const {
  static const std::vector<ServiceDefPtr> none;
  const auto found = by_host_.find(full_host);
  return found == by_host_.end() ? none : found->second;
}

const ServiceDef* Analysis::find_host(const std::string& host, const std::string& ns) const {
  const std::string full = full_name(host, ns);
  if (const auto found = by_host_.find(full); found != by_host_.end()) {
    for (const ServiceDefPtr& def : found->second) {
      if (exported_to(def->export_to, def->ns, ns)) return def.get();
    }
  }
  const auto covers = [&](const ServiceDefPtr& def) {
    return host_covers(def->host, full) && exported_to(def->export_to, def->ns, ns);
  };
  const auto wildcard = std::find_if(wildcards_.begin(), wildcards_.end(), covers);
  return wildcard == wildcards_.end() ? nullptr : wildcard->get();
}

std::vector<const DestinationRule*> Analysis::rules_for(const std::string& full_host) const {
  std::vector<const DestinationRule*> out;
  if (const auto found = rules_.find(full_host); found != rules_.end()) out = found->second;
  for (const auto& [host, rule] : wildcard_rules_) {
    if (host_covers(host, full_host)) out.push_back(rule);
  }
  return out;
}

const Gateway* Analysis::find_gateway(const std::string& name, const std::string& ns) const {
  std::string wanted = name;
  const size_t slash = name.find('/'), dot = name.find('.');
  if (name.starts_with("./")) {
    wanted = ns + name.substr(1);
  } else if (slash == std::string::npos && dot != std::string::npos) {  // "gw.ns.svc.cluster.local"
    wanted =
        std::string(split(std::string_view(name).substr(dot + 1), '.').front()) + "/" + name.substr(0, dot);
  } else if (slash == std::string::npos) {
    wanted = ns + "/" + name;
  }
  const auto found = gateways_.find(wanted);
  return found == gateways_.end() ? nullptr : found->second;
}

bool Analysis::seen_together(const ServiceDef& a, const ServiceDef& b) {
  const bool all_a = exported_to_all(a.export_to), all_b = exported_to_all(b.export_to);
  const auto nobody = [](const ServiceDef& def) { return def.export_to == std::vector<std::string>{"~"}; };
  if (nobody(a) || nobody(b)) return false;
  if (all_a || all_b) return true;
  std::vector<std::string> candidates{a.ns, b.ns};
  candidates.insert(candidates.end(), a.export_to.begin(), a.export_to.end());
  return std::any_of(candidates.begin(), candidates.end(), [&](const std::string& ns) {
    return exported_to(a.export_to, a.ns, ns) && exported_to(b.export_to, b.ns, ns);
  });
}

bool Analysis::has_endpoints(const ServiceDef& def, const Labels& labels) const {
  return std::any_of(def.ports.begin(), def.ports.end(), [&](const RegistryPort& port) {
    const auto candidates = find_endpoints(index, def, port);
    return std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
      return labels.empty() || (candidate.labels && labels_contain(*candidate.labels, labels));
    });
  });
}

void Analysis::find(const char* code, const Meta& meta, int line, std::string text) {
  if (annotated_as_known(meta, code)) return;
  findings.push_back(model::make_finding(code, meta.origin(line), std::move(text)));
}

std::string slashed(const Meta& meta) { return meta.ns + "/" + meta.name; }
std::string dotted(const Meta& meta) { return meta.name + "." + meta.ns; }

std::string label_text(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) out += fmt::format("{}{}={}", out.empty() ? "" : ",", key, value);
  return out;
}

const Meta& meta_of(const ServiceDef& def) { return def.service ? def.service->meta : def.entry->meta; }

std::string name_of(const ServiceDef& def) {
  const Meta& meta = meta_of(def);
  return meta.kind + " " + slashed(meta);
}

bool gateways_include_mesh(const VirtualService& service) {
  return service.gateways.empty() ||
         std::find(service.gateways.begin(), service.gateways.end(), "mesh") != service.gateways.end();
}

}  // namespace sockmesh::config
