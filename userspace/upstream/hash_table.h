// Hash tables for sticky choices: a ring (ketama) and Maglev. Both send a hash to the same host as long as
// the hosts stay, and move few hashes when one comes or goes. Immutable once made; any thread may read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sockmesh::upstream {

struct HashedHost {
  std::string key;  // the host's address as text
  uint32_t weight = 1;
};

class HashTable {
 public:
  virtual ~HashTable() = default;
  virtual size_t at(uint64_t hash) const = 0;  // index of a host
  // Which part of all hashes leads to each of the hosts it was made for; sums to 1.
  virtual std::vector<double> shares(size_t hosts) const = 0;
};

// At least `minimum_size` points (0: Istio's 1024), spread by weight; at most 8 Mi (Envoy's bound).
std::unique_ptr<HashTable> make_ring(const std::vector<HashedHost>& hosts, uint32_t minimum_size);
// A table of `size` entries (0: Istio's 65537), raised to the next prime; at most 5000011 (Envoy's bound).
std::unique_ptr<HashTable> make_maglev(const std::vector<HashedHost>& hosts, uint32_t size);

}  // namespace sockmesh::upstream
