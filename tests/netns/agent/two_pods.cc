#include "two_pods.h"

#include <fmt/format.h>

namespace sockmesh::test {

std::string two_pods(const std::vector<std::pair<std::string, uint16_t>>& ports) {
  std::string text = fmt::format(R"(apiVersion: v1
kind: Service
metadata: {{name: store, namespace: data}}
spec:
  clusterIP: {0}
  clusterIPs: [{0}, "{1}"]
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: PreferDualStack
  selector: {{app: store}}
  ports:
)",
                                 kStoreService4, kStoreService6);
  for (const auto& [name, port] : ports) text += fmt::format("  - {{name: {}, port: {}}}\n", name, port);
  return text + fmt::format(R"(---
apiVersion: v1
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

}  // namespace sockmesh::test
