// ResponseFlags: Envoy's short names for why a connection ended as it did
// (docs/istio.md#response-flags). A set that prints in the order in which the flags were raised, "-" when
// empty.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace sockmesh::model {

enum class ResponseFlag : uint8_t {
  kNoHealthyUpstream,           // UH   cluster known, no selectable host; BlackHoleCluster
  kUpstreamConnectionFailure,   // UF   refused, unreachable, timed out
  kUpstreamRetryLimitExceeded,  // URX  connect attempts used up
  kUpstreamOverflow,            // UO   maxConnections reached, nothing dialled
  kNoRouteFound,                // NR   no filter chain matched
  kNoClusterFound,              // NC   the route names a cluster that does not exist
  kDurationTimeout,             // DT   maxConnectionDuration reached
  kUpstreamRemoteReset,         // UR   upstream sent RST on an established connection, passed on downstream
  kOverloadManager,             // OM   we shed the connection (limits, memory)
};

std::string_view short_name(ResponseFlag flag);

class ResponseFlags {
 public:
  void add(ResponseFlag flag);  // adding twice is once
  bool has(ResponseFlag flag) const;
  bool empty() const { return count_ == 0; }
  std::string to_string() const;  // "UF,URX", "-"
  bool operator==(const ResponseFlags& other) const;

 private:
  std::array<ResponseFlag, 9> raised_{};
  uint8_t count_ = 0;
};

}  // namespace sockmesh::model
