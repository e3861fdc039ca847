#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "iptables/host.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const sockmesh::IpAddress& server : sockmesh::iptables::parse_resolv_conf(text)) {
    if (!sockmesh::IpAddress::parse(server.to_string())) std::abort();
  }
  return 0;
}
