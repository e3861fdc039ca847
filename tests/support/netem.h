// A bad network: loss, delay and reordering on one interface, by the kernel's netem. Any thread.
#pragma once

#include <string>

#include "test_support/netns.h"

namespace sockmesh::test {

// What leaves `device` in `netns` from now on is treated as `rules` say, in the words of tc-netem(8): "delay
// 5ms loss 1%". Packets are made as small as on a real network first: a lost one is a segment then, not the
// 64 KiB that loopback and veth devices carry at once. False if this kernel has no netem; throws
// std::runtime_error for all else.
bool set_netem(const Netns& netns, const std::string& device, const std::string& rules);

}  // namespace sockmesh::test
