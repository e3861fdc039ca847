// What iptables-save prints, which other programs' comments are part of.
#include <cstdint>
#include <string>

#include "iptables/capture.h"
#include "iptables/drift.h"

using namespace sockmesh::iptables;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  static const Plan plan = [] {
    Options options;
    options.inbound_ports.all = true;
    options.outbound_cidrs.all = true;
    HostFacts facts;
    facts.addresses = {sockmesh::IpAddress::v4(0x0a000001)};
    return make_capture(options, facts)->plan;
  }();
  const SavedState state = parse_save(text);
  const Memory memory;
  const GroupIds groups;
  const Running running{Family::kV4, state, memory, groups};
  (void)rebuild_document(plan, running, compare(plan, running));
  (void)removal_document(plan, running);
  (void)restoration_document(plan, running, state);
  (void)without_counters(text);
  return 0;
}
