// Splicing: lane 1 made ready at start-up, while we may still load BPF programs, and put to its self-test. A
// kernel that fails it, or refuses us, costs nothing but the lane: the reason is kept for whoever asks.
#pragma once

#include <memory>
#include <string>

#include "base/disturb.h"
#include "bpf/self_test.h"
#include "bpf/splice_maps.h"
#include "datapath/data_path.h"

namespace sockmesh::server {

struct Splicing {
  std::unique_ptr<bpf::SpliceMaps> maps;  // null: no lane 1
  std::string unavailable;                // then why, "" otherwise
  bpf::SelfTestReport report;             // empty when it was not run
  std::string verdict() const;            // one line for people
};

// Of `disturbance`: the limit of segments that may wait for a socket, and how the verdict is stalled.
Splicing prepare_splicing(datapath::Mode mode, unsigned workers, const Disturbance& disturbance);

}  // namespace sockmesh::server
