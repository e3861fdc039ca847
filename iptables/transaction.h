// The transaction: from options to a namespace in which the rules are exactly as wanted, or exactly as
// before.
//
//   look      memory, back ends, running rules: nothing is changed yet, a missing module or binary ends it
//   decide    unchanged | apply | reconcile | clean up: Istio's table of residue and delta (README.md)
//   change    one atomic restore a table, then addresses and routes
//   probe     a real redirected connection, IPv4 and IPv6
//   undo      on any failure: the saved rules come back, with their counters
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "iptables/capture.h"
#include "iptables/namespace.h"

namespace sockmesh::iptables {

enum class Action : uint8_t { kUnchanged, kApplied, kReconciled, kCleaned, kSkipped };

// What an agent's operator is told while it happens. One line a call.
using Log = std::function<void(const std::string& line)>;

// Exit statuses, as Istio's: the CNI repair controller looks for exactly 126.
inline constexpr int kExitFailure = 1;
inline constexpr int kExitValidation = 126;

struct Failure {
  Error error;
  int exit_code = kExitFailure;
};
template <typename T>
using OrFailure = tl::expected<T, Failure>;

// Does what `options` ask in options.network_namespace: what `sockmesh-init [flags]` is, and what the node
// role calls for a pod. Blocks for the time of a few program runs; one call a namespace at a time, any
// thread.
OrFailure<Action> run_transaction(const Options& options, const Log& log);

// Compares, changes nothing. The texts say what differs; empty: nothing does. Remarks go to `log`.
OrFailure<std::vector<std::string>> check_rules(const Options& options, const Log& log);

// Facts and rules for `options`, in its namespace; warnings go to `log`.
struct Wanted {
  HostFacts facts;
  Plan plan;
};
Result<Wanted> want(const Options& options, const Log& log);

}  // namespace sockmesh::iptables
