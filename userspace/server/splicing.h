// Splicing: lane 1 made ready at start-up, while we may still load BPF programs, and put to its self-test. A
// kernel that fails it, or refuses us, costs nothing but the lane: the reason is kept for whoever asks.
#pragma once

#include <memory>
#include <string>

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

// `limit_segments`: instead of the limit of segments that may wait for a socket; 0: as it is.
Splicing prepare_splicing(datapath::Mode mode, unsigned workers, uint32_t limit_segments);

}  // namespace sockmesh::server
