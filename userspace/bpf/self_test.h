// The start-up self-test of lane 1: whether this kernel splices without losing, repeating or swapping a byte.
// No lane is trusted because of a kernel's version. Runs on private loopback pairs in the current network
// namespace, takes some 100 ms, needs no privileges beyond a loaded SpliceMaps. Any thread, one at a time.
// Source: the failures each case is about are described in bpf/README.md.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "bpf/splice_maps.h"

namespace sockmesh::bpf {

struct SelfTestVerdict {
  std::string name;  // "redirect", "queued-before-insertion", ...
  bool passed = false;
  std::string detail;  // what was seen, for people: "4.3 MiB taken, then blocked"
  Duration duration{};
};

struct SelfTestReport {
  std::vector<SelfTestVerdict> verdicts;  // in the order they ran; a failure does not stop the rest
  bool passed() const;
  std::string failures() const;  // "bounded: ...; trim: ..."; "" when passed
};

SelfTestReport run_self_test(SpliceMaps& maps);

}  // namespace sockmesh::bpf
