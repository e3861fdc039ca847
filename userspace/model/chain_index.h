// ChainIndex: the filter chains of one listener, arranged in the order in which Envoy asks its questions:
// destination port, destination address (longest prefix), server name (exact, then ever shorter wildcard
// suffixes), transport protocol, application protocol. An answer to one question that leads nowhere at the
// next is final, there is no going back to a less specific one (Envoy's FilterChainManagerImpl). Immutable
// once built, any thread; points into the listener's chains, which must outlive it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/address.h"

namespace sockmesh::model {

struct FilterChain;
struct TlsHello;

class ChainIndex {
 public:
  explicit ChainIndex(const std::vector<FilterChain>& chains);

  struct Answer {
    const FilterChain* chain = nullptr;  // null: none of them, the listener's default decides
    bool needs_bytes = false;            // it depends on the first bytes, which `hello` did not tell
  };
  // `hello` null: the first bytes were not looked at.
  Answer find(const SocketAddress& destination, const TlsHello* hello) const;

 private:
  // Chains that differ in application protocol only.
  struct ByApplication {
    std::vector<std::pair<std::string, const FilterChain*>> named;
    const FilterChain* any = nullptr;
  };
  using ByTransport = std::array<std::unique_ptr<ByApplication>, 3>;  // index: TransportProtocol
  // Chains for one destination: what remains depends on the first bytes.
  struct ByBytes {
    std::unordered_map<std::string, ByTransport> exact, suffix;  // suffix keys start with a dot
    ByTransport unnamed;
    const FilterChain* plain = nullptr;  // the answer whatever the bytes are; null: they matter
  };
  struct ByAddress {
    struct Length {
      int bits = 0;
      std::unordered_map<IpAddress, std::shared_ptr<ByBytes>> blocks;
    };
    std::vector<Length> v4, v6;  // longest first
  };

  static void add(ByAddress& to, const FilterChain& chain);
  static void add(ByBytes& to, const FilterChain& chain);
  static void settle(ByAddress& at);
  static const FilterChain* plain_answer(const ByBytes& at);
  static const FilterChain* find(const ByTransport& at, const TlsHello& hello);
  static const FilterChain* find(const ByBytes& at, const TlsHello& hello);

  std::map<uint16_t, ByAddress> ports_;
  ByAddress any_port_;
};

}  // namespace sockmesh::model
