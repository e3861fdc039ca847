// Working in the network namespace of a pod from outside of it, as a CNI plugin asks for with
// --network-namespace.
#pragma once

#include <functional>
#include <string>

#include "iptables/backend.h"

namespace sockmesh::iptables {

struct NamespaceRequest {
  std::string path;  // of the network namespace; empty: the caller's
  bool cni_mode =
      false;  // the host's files: give the namespace an xtables lock of its own and hide nsswitch.conf
};

// Runs `work` in a thread that has entered the namespace, waits for it, and gives it the way to start
// programs there. The caller's own namespaces stay as they are. In CNI mode the thread also has a mount
// namespace of its own; where that is refused it works without, as Istio does. Fails if the namespace cannot
// be entered.
Result<void> in_namespace(const NamespaceRequest& request, const std::function<void(const Launcher&)>& work);

}  // namespace sockmesh::iptables
