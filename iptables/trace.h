// What the rules do with the first packet of a connection, worked out from the rule values: for
// `sockmesh-init trace` and for the probe, which must know what it may expect. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "iptables/host.h"
#include "iptables/rules.h"

namespace sockmesh::iptables {

struct Packet {
  IpAddress source, destination;
  uint16_t port = 0;         // destination's
  uint16_t source_port = 0;  // 0: any that no rule asks for
  Transport transport = Transport::kTcp;
  uint32_t uid = 0, gid = 0;  // of the process; packets made here only
  bool made_here = true;      // else it arrives
  std::string interface;      // it leaves or arrives by
  uint32_t mark = 0;          // of the socket; packets made here only
};

// Direction and interface from the addresses: what has a local source, or a uid, gid or mark, is made here,
// and leaves by lo if its destination is local. `interface`, if not empty, is taken as it is.
Packet make_packet(const TraceRequest& request, const std::vector<IpAddress>& local_addresses);

struct Trace {
  enum class Fate : uint8_t { kUntouched, kRedirected, kTransparent, kDropped };
  Fate fate = Fate::kUntouched;
  uint16_t port = 0;               // the proxy's, if redirected or transparent
  bool no_rules = false;           // for the packet's family
  std::vector<const Rule*> steps;  // the rules that matched, in order; pointers into the plan
};

Trace trace(const Plan& plan, const Packet& packet, const std::map<std::string, uint32_t>& group_ids);

// For people: the packet, the rules that matched, the fate and the rule that decided it.
std::string describe(const Trace& trace, const Packet& packet);

}  // namespace sockmesh::iptables
