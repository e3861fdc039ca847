// sockmesh-init: writes, checks, explains and removes the interception rules of one network namespace, then
// exits. A drop-in for the init container of an Istio sidecar; see README.md.
#include <iostream>

#include "iptables/commands.h"

int main(int argc, char** argv) {
  return sockmesh::iptables::run_command({argv + 1, argv + argc}, sockmesh::iptables::process_environment(),
                                         std::cout, std::cerr);
}
