#include "two_pods.h"

#include <fmt/format.h>

namespace sockmesh::test {

namespace {

std::string service(const std::string& name, const std::string& families, const std::string& addresses,
                    const std::vector<std::pair<std::string, uint16_t>>& ports) {
  std::string text = fmt::format(R"(apiVersion: v1
kind: Service
metadata: {{name: {}, namespace: data}}
spec:
  clusterIPs: [{}]
  ipFamilies: [{}]
  selector: {{app: store}}
  ports:
)",
                                 name, addresses, families);
  for (const auto& [port_name, port] : ports)
    text += fmt::format("  - {{name: {}, port: {}}}\n", port_name, port);
  return text + "---\n";
}

std::string pods() {
  return fmt::format(R"(apiVersion: v1
kind: Pod
metadata: {{name: store-0, namespace: data, labels: {{app: store}}}}
status: {{podIP: {0}, podIPs: [{{ip: {0}}}, {{ip: "fd12::c"}}]}}
---
apiVersion: v1
kind: Pod
metadata: {{name: client-0, namespace: data, labels: {{app: client}}}}
status: {{podIP: {1}, podIPs: [{{ip: {1}}}, {{ip: "fd12::b"}}]}}
)",
                     kStoreIp, kClientIp);
}

}  // namespace

std::string two_pods(const std::vector<std::pair<std::string, uint16_t>>& ports) {
  const std::string both = fmt::format("{}, \"{}\"", kStoreService4, kStoreService6);
  return service("store", "IPv4, IPv6", both, ports) + pods();
}

std::string two_pods_of_one_family(const std::vector<std::pair<std::string, uint16_t>>& ports) {
  return service("store", "IPv4", kStoreService4, ports) +
         service("store6", "IPv6", fmt::format("\"{}\"", kStoreService6), ports) + pods();
}

}  // namespace sockmesh::test
