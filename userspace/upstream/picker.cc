#include "upstream/picker.h"

#include <algorithm>
#include <cmath>

namespace sockmesh::upstream {

namespace {

using Hosts = std::vector<const Host*>;

// Smooth weighted round robin: every turn each host gains its weight, the richest is chosen and pays the sum.
// Spreads the turns of a heavy host out, and tolerates weights that change from turn to turn.
class SmoothTurns {
 public:
  SmoothTurns(size_t hosts, Random& random) : credit_(hosts) {
    // A random start, so that workers and restarts don't all begin with the first host.
    for (double& credit : credit_) credit = random.unit() * 1e-3;
  }
  template <typename Weight>
  size_t next(Weight weight_of) {
    double sum = 0;
    size_t best = 0;
    for (size_t i = 0; i < credit_.size(); ++i) {
      const double weight = weight_of(i);
      sum += weight;
      credit_[i] += weight;
      if (credit_[i] > credit_[best]) best = i;
    }
    credit_[best] -= sum;
    return best;
  }

 private:
  std::vector<double> credit_;
};

class RoundRobin : public Picker {
 public:
  RoundRobin(const model::Cluster& cluster, const Hosts& hosts, Random& random)
      : cluster_(cluster), hosts_(hosts), turns_(hosts.size(), random) {}
  size_t pick(const PickInput& input, Random&) override {
    return turns_.next([&](size_t i) { return warm_weight(cluster_, *hosts_[i], input.now); });
  }

 private:
  const model::Cluster& cluster_;
  const Hosts& hosts_;
  SmoothTurns turns_;
};

// Envoy's: with equal weights the less busy of two random hosts; else round robin by weight, scaled down by
// how busy each host is.
class LeastRequest : public Picker {
 public:
  LeastRequest(const model::Cluster& cluster, const Hosts& hosts, Random& random)
      : cluster_(cluster), hosts_(hosts), turns_(hosts.size(), random) {
    equal_ = std::all_of(hosts.begin(), hosts.end(),
                         [&](const Host* host) { return host->weight == hosts.front()->weight; });
  }
  size_t pick(const PickInput& input, Random& random) override {
    if (equal_ && !warming(cluster_, hosts_, input.now)) {
      const size_t a = random.below(hosts_.size());
      const size_t b = random.below(hosts_.size());
      return active(b) < active(a) ? b : a;
    }
    return turns_.next(
        [&](size_t i) { return warm_weight(cluster_, *hosts_[i], input.now) / (active(i) + 1.0); });
  }

 private:
  uint32_t active(size_t i) const { return hosts_[i]->state->active.load(std::memory_order_relaxed); }

  const model::Cluster& cluster_;
  const Hosts& hosts_;
  SmoothTurns turns_;
  bool equal_ = false;
};

// Envoy's random policy does not look at weights.
class RandomPick : public Picker {
 public:
  explicit RandomPick(size_t hosts) : hosts_(hosts) {}
  size_t pick(const PickInput&, Random& random) override { return random.below(hosts_); }

 private:
  size_t hosts_;
};

class HashPick : public Picker {
 public:
  explicit HashPick(std::unique_ptr<HashTable> table) : table_(std::move(table)) {}
  size_t pick(const PickInput& input, Random& random) override {
    return table_->at(input.hash ? *input.hash : random.next());
  }

 private:
  std::unique_ptr<HashTable> table_;
};

std::vector<HashedHost> hashed(const Hosts& hosts) {
  std::vector<HashedHost> keys;
  keys.reserve(hosts.size());
  for (const Host* host : hosts) keys.push_back({model::to_string(host->address), host->weight});
  return keys;
}

}  // namespace

bool warming(const model::Cluster& cluster, const Hosts& hosts, MonotonicTime now) {
  if (!cluster.slow_start) return false;
  return std::any_of(hosts.begin(), hosts.end(), [&](const Host* host) {
    return now - host->state->first_seen < cluster.slow_start->duration;
  });
}

double warm_weight(const model::Cluster& cluster, const Host& host, MonotonicTime now) {
  const double weight = host.weight;
  if (!cluster.slow_start) return weight;
  return weight * slow_start_factor(*cluster.slow_start, now - host.state->first_seen);
}

std::unique_ptr<HashTable> make_hash_table(const model::Cluster& cluster, const Hosts& hosts) {
  if (cluster.lb == model::LbPolicy::kRingHash) return make_ring(hashed(hosts), cluster.hash_table_size);
  if (cluster.lb == model::LbPolicy::kMaglev) return make_maglev(hashed(hosts), cluster.hash_table_size);
  return nullptr;
}

double slow_start_factor(const model::SlowStart& slow_start, Duration age) {
  if (age >= slow_start.duration) return 1;
  const double elapsed =
      std::max(0.0, static_cast<double>(age.count())) / static_cast<double>(slow_start.duration.count());
  const double aggression = slow_start.aggression > 0 ? slow_start.aggression : 1;
  return std::max(std::pow(elapsed, 1 / aggression), slow_start.minimum_percent / 100.0);
}

std::unique_ptr<Picker> make_picker(const model::Cluster& cluster, const Hosts& hosts, Random& random) {
  switch (cluster.lb) {
    case model::LbPolicy::kRoundRobin:
      return std::make_unique<RoundRobin>(cluster, hosts, random);
    case model::LbPolicy::kRandom:
      return std::make_unique<RandomPick>(hosts.size());
    case model::LbPolicy::kRingHash:
    case model::LbPolicy::kMaglev:
      return std::make_unique<HashPick>(make_hash_table(cluster, hosts));
    case model::LbPolicy::kLeastRequest:
    case model::LbPolicy::kClusterProvided:
      break;
  }
  return std::make_unique<LeastRequest>(cluster, hosts, random);
}

}  // namespace sockmesh::upstream
