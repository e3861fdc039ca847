#include "server/splicing.h"

#include <algorithm>

namespace sockmesh::server {

std::string Splicing::verdict() const {
  if (!maps) return unavailable;
  return fmt::format("passed: {} of {} checks", report.verdicts.size(), report.verdicts.size());
}

Splicing prepare_splicing(datapath::Mode mode, unsigned workers, const Disturbance& disturbance) {
  Splicing splicing;
  if (mode == datapath::Mode::kIoUring || mode == datapath::Mode::kEpoll) {
    splicing.unavailable = fmt::format("not asked for (--data-path {})", datapath::to_string(mode));
    return splicing;
  }
  bpf::SpliceMaps::Options options;
  options.rings = std::min<uint32_t>(workers, SPLICE_MAX_RINGS);
  if (disturbance.limit_segments > 0) options.limit_skbs = disturbance.limit_segments;
  options.stall = {disturbance.stall_percent, disturbance.longest_delay};
  auto maps = bpf::SpliceMaps::load(options);
  if (!maps) {
    splicing.unavailable = "not available: " + maps.error().message;
    return splicing;
  }
  splicing.report = bpf::run_self_test(**maps);
  if (!splicing.report.passed()) {
    splicing.unavailable = "failed its self-test: " + splicing.report.failures();
    return splicing;
  }
  splicing.maps = std::move(*maps);
  return splicing;
}

}  // namespace sockmesh::server
