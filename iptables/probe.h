// The capture probe: a real connection, made as the proxy's user, that only correct rules bring to the
// proxy's inbound port (istio tools/istio-iptables/pkg/validation). A client connects from 127.0.0.1 to
// 127.0.0.6:15002, or from [::1] to [::6]:15002; a listener on the proxy's port must see it arrive with that
// original destination.
#pragma once

#include <string>

#include "iptables/transaction.h"

namespace sockmesh::iptables {

struct Probe {
  enum class Verdict : uint8_t {
    kProved,
    kDisproved,   // the connection was not captured
    kImpossible,  // this process cannot make the connection, or the options exempt it
  };
  Verdict verdict;
  std::string text;  // of the worst family
};

// Works in the calling thread's network namespace. With `until_timeout` it tries once a second until it is
// proved or options.probe_timeout is over, because a CNI plugin may still be at work; else one connection is
// decisive, within the same time. Forks a child that becomes the proxy's user.
Probe probe_capture(const Options& options, const Wanted& wanted, bool until_timeout);

}  // namespace sockmesh::iptables
