// Machine: a pod's namespace with sockmesh-init at work on it through its library, and the pictures of its
// rules that tests compare.
#pragma once

#include <string>
#include <vector>

#include "iptables/transaction.h"
#include "test_support/netns.h"

namespace sockmesh::test {

// Options from a command line, "-b * -i * -u 1337", split at blanks. Throws if they are refused.
iptables::Options options_of(const std::string& flags, const Netns& netns);

struct InitResult {
  int exit_code = 0;
  iptables::Action action = iptables::Action::kSkipped;
  std::string log;  // and the error
};
InitResult run_init(const Netns& netns, const std::string& flags);

// What `sockmesh-init check` finds, empty if nothing.
std::vector<std::string> check_init(const Netns& netns, const std::string& flags);

// `iptables-nft -t nat -A ...`, split at blanks. Throws if it fails.
void in_pod(const Netns& netns, const std::string& command);

// Every rule of both back ends, addresses, routes and policy routes, without counters.
std::string rules_and_routes(const Netns& netns);
// The same and nft's own view, which also shows empty chains and the order in which chains were made.
std::string picture_of(const Netns& netns);
// How two such pictures differ, "-" before a line that is gone and "+" before a new one; empty if they do
// not.
inline const std::vector<std::string> kNothing;
std::vector<std::string> changed_lines(const std::string& before, const std::string& after);

// Rules such as a machine with docker, a CNI plugin and a careful owner has, in all tables of both families.
void add_foreign_rules(const Netns& netns, const std::string& binary_kind);

}  // namespace sockmesh::test
