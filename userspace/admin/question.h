// Question: the connection that someone asks `explain` about, as text, turned into what model::explain takes.
// The same online (query of /v1/explain) and offline (flags of sockmeshctl). Pure, any thread.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "model/match.h"

namespace sockmesh::admin {

struct Question {
  std::string destination;             // "10.0.0.1:80", "[fd00::1]:80"
  std::string direction = "outbound";  // or "inbound"
  std::string source;                  // "10.1.2.3" or "10.1.2.3:40000", "" unknown
  std::optional<std::string> sni;      // the first bytes are a TLS hello with this name
  std::string alpn;                    // "istio,h2": the protocols that this TLS hello offers
  std::optional<bool> tls;             // the first bytes are, or are not, TLS; absent: nothing known
};

// Errors quote the bad part. The result points into `snapshot`.
Result<model::ConnectionInfo> connection_of(const Question& question, const model::Snapshot& snapshot);

// The really bound listener (gateway, captureMode NONE) that accepts connections to `destination`; null when
// they are captured instead. Where a connection to a bound port came from is the listener itself.
const model::Listener* bound_listener(const model::Snapshot& snapshot, const SocketAddress& destination);

}  // namespace sockmesh::admin
