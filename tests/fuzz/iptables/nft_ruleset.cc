// What `nft list ruleset` prints, which other programs' tables are part of, and what is done with it.
#include <cstdint>
#include <string_view>

#include "iptables/memory.h"

using namespace sockmesh::iptables;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const NftView view = parse_nft_ruleset({reinterpret_cast<const char*>(data), size});
  (void)absence(view.inventory);
  (void)forgetting_script(view.memory, view.inventory);
  return 0;
}
