// Any bytes: no crash; the verdict over a prefix is "need more" or the verdict over the whole (what was told
// from few bytes is not taken back); names are lower case and printable.
#include <cstdlib>

#include "connection/tls_hello.h"

using sockmesh::connection::HelloState;
using sockmesh::connection::parse_client_hello;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto whole = parse_client_hello({data, size});
  for (const char c : whole.server_name)
    if (c <= 0x20 || c >= 0x7f || (c >= 'A' && c <= 'Z')) std::abort();
  if (whole.state != HelloState::kTls && !whole.server_name.empty()) std::abort();
  if (size > 0) {
    const auto part = parse_client_hello({data, size / 2});
    if (part.state != HelloState::kNeedMore &&
        (part.state != whole.state || part.server_name != whole.server_name))
      std::abort();
  }
  return 0;
}
