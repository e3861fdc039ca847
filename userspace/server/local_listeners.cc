#include "server/local_listeners.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <string>

#include "base/strings.h"
#include "model/finding_codes.h"

namespace sockmesh::server {

namespace {

constexpr std::string_view kListening = "0A";

struct Listening {
  std::set<uint16_t> loopback, elsewhere;
};

// 127.0.0.0/8 and ::1 as the kernel prints them: words of 32 bits, each in the machine's (little-endian)
// order.
bool is_loopback(std::string_view address) {
  if (address.size() == 8) return address.ends_with("7F");
  return address == "00000000000000000000000001000000" ||
         (address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F"));
}

// Lines are "  0: 0100007F:1F90 00000000:0000 0A ...", those of listening sockets first.
void read_listening(std::string_view table, Listening& out) {
  bool heading = true;
  for (const std::string_view line : split(table, '\n', true)) {
    if (std::exchange(heading, false)) continue;
    const auto words = split(line, ' ', true);
    if (words.size() < 4 || words[3] != kListening) return;
    const auto parts = split(words[1], ':');
    uint16_t port = 0;
    if (parts.size() != 2 ||
        std::from_chars(parts[1].data(), parts[1].data() + parts[1].size(), port, 16).ec != std::errc())
      continue;
    (is_loopback(parts[0]) ? out.loopback : out.elsewhere).insert(port);
  }
}

// The part of a table that lists listening sockets; the others may be many.
std::string listening_part(const char* path) {
  std::ifstream in(path);
  std::string text, line;
  for (bool heading = true; std::getline(in, line); heading = false) {
    const auto words = split(line, ' ', true);
    if (!heading && (words.size() < 4 || words[3] != kListening)) break;
    text += line + "\n";
  }
  return text;
}

// Dialled where the client dialled, that is, at the pod's address.
bool dialled_at_pod(const model::Snapshot& snapshot, const model::FilterChain& chain) {
  for (const model::WeightedCluster& part : chain.route.clusters) {
    const model::Cluster* cluster = snapshot.find_cluster(part.cluster);
    if (cluster && cluster->type == model::ClusterType::kOriginalDst) return true;
  }
  return false;
}

}  // namespace

std::set<uint16_t> loopback_only_ports(std::string_view tcp, std::string_view tcp6) {
  Listening listening;
  read_listening(tcp, listening);
  read_listening(tcp6, listening);
  for (const uint16_t port : listening.elsewhere) listening.loopback.erase(port);
  return std::move(listening.loopback);
}

std::vector<model::Finding> localhost_findings(const model::Snapshot& snapshot,
                                               const std::set<uint16_t>& loopback_only,
                                               const model::OriginPtr& pod) {
  std::vector<model::Finding> findings;
  if (!snapshot.virtual_inbound) return findings;
  std::set<uint16_t> told;
  for (const model::FilterChain& chain : snapshot.virtual_inbound->chains) {
    const auto& port = chain.match.destination_port;
    if (!port || !loopback_only.contains(*port) || !dialled_at_pod(snapshot, chain) ||
        !told.insert(*port).second)
      continue;
    findings.push_back(model::make_finding(
        "IST0143", pod,
        fmt::format("Port {} is exposed in a Service but listens on localhost. It will not be exposed to "
                    "other pods.",
                    *port)));
  }
  return findings;
}

std::vector<model::Finding> look_for_local_listeners(const model::Snapshot& snapshot,
                                                     const net::NetworkNamespace& network,
                                                     const model::OriginPtr& pod) {
  const auto inside = network.enter();
  if (!inside) return {};
  const auto ports = loopback_only_ports(listening_part("/proc/thread-self/net/tcp"),
                                         listening_part("/proc/thread-self/net/tcp6"));
  return localhost_findings(snapshot, ports, pod);
}

}  // namespace sockmesh::server
