// Rule: one packet-filter rule as a value: where it stands, what it matches, what it does, why it exists and
// which flag caused it. The text for iptables and nft, the undo, the check, the explanation and the trace are
// all derived from these values, so none of them can disagree. Plain values, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/packet_mark.h"

namespace sockmesh::iptables {

enum class Family : uint8_t { kV4, kV6 };
enum class Table : uint8_t { kFilter, kMangle, kNat, kRaw };  // the order of documents
inline constexpr Table kTables[] = {Table::kFilter, Table::kMangle, Table::kNat, Table::kRaw};

enum class Chain : uint8_t {
  kPrerouting,
  kOutput,
  kIstioInbound,
  kIstioRedirect,
  kIstioInRedirect,
  kIstioOutput,
  kIstioOutputDns,
  kIstioDivert,
  kIstioTproxy,
  kIstioDrop,
};

std::string_view table_name(Table table);
std::string_view chain_name(Chain chain);
std::string_view nft_family(Family family);  // "ip", "ip6": nft's word for it
inline bool is_builtin(Chain chain) { return chain == Chain::kPrerouting || chain == Chain::kOutput; }

// A CIDR block as it was written: unlike Prefix it keeps its host bits, because Istio hands 127.0.0.1/8 to
// iptables just so and a diff against what istio-init restores has to be empty.
struct Cidr {
  IpAddress address;
  uint8_t length = 0;  // bits

  // "10.0.0.0/8", "fd00::/8"; the length is required.
  static Result<Cidr> parse(std::string_view text);
  static Cidr host(const IpAddress& address) { return {address, static_cast<uint8_t>(address.bits())}; }
  Family family() const { return address.is_v6() ? Family::kV6 : Family::kV4; }
  bool contains(const IpAddress& ip) const;
  std::string to_string() const;
  bool operator==(const Cidr&) const = default;
};

// The block a rule means, by family. A rule written for one family has only that one.
struct Block {
  std::optional<Cidr> v4, v6;
  const Cidr& of(Family family) const { return family == Family::kV4 ? *v4 : *v6; }
  bool operator==(const Block&) const = default;
};

enum class Transport : uint8_t { kTcp, kUdp };

// What a packet must be. A rule's matches are written in the order they stand and all have to hold.
namespace match {
struct InInterface {
  std::string name;
};
struct OutInterface {
  std::string name;
};
struct Protocol {
  Transport transport;
};
struct Source {
  Block block;
};
struct Destination {
  Block block;
  bool negate = false;
};
struct SourcePort {
  uint16_t port;
};
struct DestinationPort {
  uint16_t port;
  bool negate = false;
};
struct NoneOfDestinationPorts {
  std::vector<uint16_t> ports;
};
struct Uid {
  uint32_t uid;
  bool negate = false;
};
struct Gid {
  std::string group;  // a number, or a name that iptables resolves
  bool negate = false;
};
struct ConntrackState {
  enum Kind : uint8_t { kInvalid, kEstablishedOrRelated } kind;
};
struct Syn {};  // TCP that asks for a connection: of FIN, SYN, RST and ACK only SYN
struct Mark {
  uint32_t mark;
  bool negate = false;
};
struct MarkBits {
  PacketMark mark;
};
struct ConnectionMark {
  uint32_t mark;
};
}  // namespace match

using Match = std::variant<match::InInterface, match::OutInterface, match::Protocol, match::Source,
                           match::Destination, match::SourcePort, match::DestinationPort,
                           match::NoneOfDestinationPorts, match::Uid, match::Gid, match::ConntrackState,
                           match::Syn, match::Mark, match::MarkBits, match::ConnectionMark>;

// What happens to a packet that matched.
namespace target {
struct Return {};
struct Accept {};
struct Drop {};
struct Jump {
  Chain chain;
};
struct Redirect {
  uint16_t port;
};
struct TransparentProxy {
  uint16_t port;
  uint32_t mark;
};
struct SetMark {
  uint32_t mark;
};
struct SaveMark {};     // packet mark -> connection mark
struct RestoreMark {};  // connection mark -> packet mark
struct ConntrackZone {
  uint16_t zone;
};
}  // namespace target

using Target = std::variant<target::Return, target::Accept, target::Drop, target::Jump, target::Redirect,
                            target::TransparentProxy, target::SetMark, target::SaveMark, target::RestoreMark,
                            target::ConntrackZone>;

struct Families {
  bool v4 = true;
  bool v6 = true;
  bool has(Family family) const { return family == Family::kV4 ? v4 : v6; }
};

struct Rule {
  Table table;
  Chain chain;
  std::optional<int> insert;  // position from 1 at the moment of insertion; none: appended
  std::vector<Match> matches;
  Target target;
  Families families;
  std::string reason;  // why it exists, a sentence for people
  std::string cause;   // the flag and value that asked for it, or "always"
};

// What is wanted in one network namespace, beyond the rules: the address and the routes they rely on.
struct RoutePlan {
  bool loopback6 = false;  // ::6/128 on lo, the IPv6 twin of 127.0.0.6
  struct Tproxy {
    uint32_t mark;
    uint32_t table;
  };
  std::optional<Tproxy> tproxy;  // packets with `mark` are delivered locally, by a route in `table`
  bool ipv6 = false;             // the same for IPv6
};

// Everything wanted, in creation order.
struct Plan {
  std::vector<Rule> rules;
  bool ipv6 = false;  // else only the IPv4 rules are written
  RoutePlan routes;
};

// The rules of one chain in the order packets meet them, insertions carried out; of one family, or of both
// together. Pointers into plan.rules.
std::vector<const Rule*> chain_rules(const Plan& plan, std::optional<Family> family, Table table,
                                     Chain chain);

// The chains of ours that a table needs: in order of first use as a rule's chain, then those only jumped to.
std::vector<Chain> own_chains(const Plan& plan, std::optional<Family> family, Table table);

bool has_table(const Plan& plan, Family family, Table table);

// The chain a rule sends packets to, if it does.
std::optional<Chain> jump_of(const Rule& rule);

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;  // clang 14 does not deduce aggregates

}  // namespace sockmesh::iptables
