// The mesh of most end-to-end tests, as manifests: pod client-0, and pod store-0 behind the dual-stack
// Service store, in namespace data.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sockmesh::test {

inline constexpr const char* kStoreService4 = "10.0.40.1";
inline constexpr const char* kStoreService6 = "fd40::1";
inline constexpr const char* kClientIp = "10.12.3.10";  // and fd12::b
inline constexpr const char* kStoreIp = "10.12.4.10";   // and fd12::c

// `ports` of the Service, by name.
std::string two_pods(const std::vector<std::pair<std::string, uint16_t>>& ports);
// With a Service of each IP family in place of the one of both: store, and store6 with the same ports. Lane 3
// leads to endpoints of the family that the application asked for.
std::string two_pods_of_one_family(const std::vector<std::pair<std::string, uint16_t>>& ports);

}  // namespace sockmesh::test
