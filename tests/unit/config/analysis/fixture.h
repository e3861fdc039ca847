// Small meshes as text, and what analyze() finds in them.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "config/analysis/analyze.h"
#include "config/manifest/reader.h"
#include "model/findings.h"

namespace sockmesh::config {

struct Found {
  std::vector<std::string> lines;
  size_t count(const std::string& code) const {
    return static_cast<size_t>(std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find("[" + code + "]") != std::string::npos;
    }));
  }
  std::string of(const std::string& code) const {  // all lines with the code
    std::string out;
    for (const std::string& line : lines) {
      if (line.find("[" + code + "]") != std::string::npos) out += line + "\n";
    }
    return out;
  }
};

inline Found run(const std::string& manifests) {
  Resources resources;
  std::vector<ReadProblem> problems;
  REQUIRE(read_manifest(manifests, "m.yaml", resources, problems));
  Found found;
  for (const model::Finding& finding : analyze(resources, problems))
    found.lines.push_back(to_string(finding));
  std::string all;
  for (const std::string& line : found.lines) all += line + "\n";
  UNSCOPED_INFO(all);
  return found;
}

inline std::string object(const std::string& kind, const std::string& name, const std::string& rest) {
  const bool core = kind == "Service" || kind == "Pod" || kind == "Namespace" || kind == "ConfigMap";
  const std::string api = core                      ? "v1"
                          : kind == "EndpointSlice" ? "discovery.k8s.io/v1"
                                                    : "networking.istio.io/v1";
  return "apiVersion: " + api + "\nkind: " + kind + "\nmetadata: {name: " + name + "}\n" + rest + "\n---\n";
}
inline std::string annotated(std::string text, const std::string& annotation) {
  const size_t at = text.find("metadata: {") + 11;
  return text.insert(at, "annotations: {" + annotation + "}, ");
}
inline std::string created(std::string text, const std::string& year) {
  const size_t at = text.find("metadata: {") + 11;
  return text.insert(at, "creationTimestamp: \"" + year + "-01-01T00:00:00Z\", ");
}

inline std::string service(const std::string& name, const std::string& ip,
                           const std::string& ports = "[{name: tcp, port: 9000}]") {
  return object("Service", name,
                "spec: {clusterIP: " + ip + ", selector: {app: " + name + "}, ports: " + ports + "}");
}
inline std::string pod(const std::string& name, const std::string& app, const std::string& ip,
                       const std::string& port = "9000") {
  std::string text = object(
      "Pod", name,
      "spec: {containers: [{name: a, ports: [{containerPort: " + port + "}]}]}\nstatus: {podIP: " + ip + "}");
  const size_t at = text.find("metadata: {") + 11;
  return text.insert(at, "labels: {app: " + app + "}, ");
}
inline std::string entry(const std::string& name, const std::string& host, const std::string& rest) {
  return object("ServiceEntry", name, "spec: {hosts: [" + host + "], " + rest + "}");
}

inline const std::string kEcho = service("echo", "10.96.0.1") + pod("echo-1", "echo", "10.244.0.1");

}  // namespace sockmesh::config
