// Any bytes as ISTIO_PROMETHEUS_ANNOTATIONS, which a pod's author writes: what is accepted can be asked for.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "admin/app_metrics.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto scrape = sockmesh::admin::parse_app_scrape({reinterpret_cast<const char*>(data), size}, 15020);
  if (!scrape || !*scrape) return 0;
  if ((*scrape)->port == 0 || (*scrape)->path.empty()) std::abort();
  for (const char c : (*scrape)->path)
    if (c == '\r' || c == '\n') std::abort();  // would be a header of the request
  return 0;
}
