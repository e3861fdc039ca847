// Any bytes: no crash, the header is no longer than what was given, and one that carries addresses says the
// same after being written and read again.
#include <cstdlib>

#include "connection/proxy_protocol.h"

using namespace sockmesh;
using connection::ProxyHeaderState;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto header = connection::parse_proxy_header({data, size});
  if (header.state != ProxyHeaderState::kComplete) return 0;
  if (header.length > size || header.length > connection::kMaxProxyHeader) std::abort();
  if (!header.source || !header.destination) return 0;
  const std::string again =
      connection::proxy_header(model::ProxyProtocol::kV2, *header.source, *header.destination);
  const auto reread =
      connection::parse_proxy_header({reinterpret_cast<const uint8_t*>(again.data()), again.size()});
  if (reread.source != header.source || reread.destination != header.destination) std::abort();
  return 0;
}
