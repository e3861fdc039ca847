// The start-up self-test of lane 1: whether this kernel splices without losing, repeating or swapping a byte,
// and holds no more of them than it is told to (docs/decisions/009-self-test-not-version.md). What goes wrong
// where a case fails is told in bpf/README.md. Flows between sockets of its own on 127.0.0.1, in the calling
// thread's network namespace; some 100 ms; no privileges once the maps are loaded. Any thread, one at a time.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "bpf/splice_maps.h"

namespace sockmesh::bpf {

struct SelfTestVerdict {
  std::string name;  // "redirect", "queued-before-insertion", ...
  bool passed = false;
  std::string detail;  // what was seen, for people: "4 MiB up while 4.3 MiB down were not read"
  Duration duration{};
};

struct SelfTestReport {
  std::vector<SelfTestVerdict> verdicts;  // in the order they ran; a failure does not stop the rest
  bool passed() const;
  std::string failures() const;  // "bounded: ...; trim: ..."; "" when passed
};

SelfTestReport run_self_test(SpliceMaps& maps);

}  // namespace sockmesh::bpf
