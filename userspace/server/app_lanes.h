// AppLanes: the lanes of applications' own sockets made ready at start-up, while we may still load BPF
// programs: which cgroup they are for, whether the pod's rules let them pass, their self-test. Where anything
// is missing they stay off, and the reason is kept for whoever asks.
#pragma once

#include <memory>
#include <string>

#include "bpf/direct_maps.h"
#include "model/direct.h"
#include "server/options.h"

namespace sockmesh::server {

struct AppLanes {
  std::unique_ptr<bpf::DirectMaps> direct;  // attached; null: no lane 3
  std::string unavailable;                  // then why, "" otherwise
  size_t checks = 0;                        // of the self-test that passed
  model::DirectTerms terms;
  std::string verdict() const;  // one line for people
};

// Before anything listens on the capture ports: probe_mark() wants that.
AppLanes prepare_app_lanes(const Options& options);

// What of the rules has to be known: which connections they leave alone (options), and which IP families they
// capture at all.
model::DirectTerms direct_terms(const Options& options, bool ipv4, bool ipv6);

}  // namespace sockmesh::server
