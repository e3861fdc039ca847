// Any bytes as a manifest: nothing crashes, reading twice gives the same, and what is read holds what its
// readers promise the compiler.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/manifest/reader.h"

using namespace sockmesh::config;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct Outcome {
  Resources resources;
  std::vector<ReadProblem> problems;
  bool readable;
};

Outcome read(std::string_view text) {
  Outcome outcome;
  outcome.readable = read_manifest(text, "fuzz.yaml", outcome.resources, outcome.problems);
  return outcome;
}

void check_routes(const std::vector<L4Route>& routes) {
  for (const L4Route& route : routes) {
    int64_t sum = 0;
    for (const RouteDestination& destination : route.destinations) {
      require(!destination.destination.host.empty());
      require(destination.weight.value_or(0) >= 0);
      sum += destination.weight.value_or(0);
    }
    require(route.destinations.size() < 2 || sum > 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Outcome first = read(text), second = read(text);
  require(first.problems == second.problems);
  require(first.readable || !first.problems.empty());
  // YAML ends a line at a lone CR too.
  const auto lines =
      2 + std::count_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; });
  for (const ReadProblem& problem : first.problems) {
    require(problem.line >= 1 && problem.line <= lines);
    require(!problem.to_string().empty());
  }
  for (const auto& service : first.resources.services) {
    require(!service->meta.name.empty());
    for (const ServicePort& port : service->ports) require(port.port != 0 && port.line >= 1);
    require(service->type != "ExternalName" || !service->external_name.empty());
  }
  for (const auto& entry : first.resources.service_entries) require(!entry->hosts.empty());
  for (const auto& service : first.resources.virtual_services) {
    check_routes(service->tcp);
    check_routes(service->tls);
  }
  for (const auto& gateway : first.resources.gateways) {
    for (const GatewayServer& server : gateway->servers) require(server.port.number != 0);
  }
  return 0;
}
