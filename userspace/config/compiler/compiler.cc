// Compiler: keeps the mesh of the last compilation and what was made of it for each proxy. When few objects
// changed the mesh follows them once, and each proxy after it, as far as it can (proxy_compilation.h).
#include "config/compiler/compiler.h"

#include <optional>

#include "config/compiler/build_snapshot.h"
#include "config/compiler/mesh.h"
#include "config/compiler/proxy_compilation.h"

namespace sockmesh::config {

model::SnapshotPtr compile(const Resources& resources, const ProxyIdentity& proxy) {
  const Mesh mesh(resources);
  return build_snapshot(ProxyView(mesh, proxy)).snapshot;
}

struct Compiler::Impl {
  std::optional<Mesh> mesh;               // of the last resources; none: nothing is kept
  std::vector<ProxyCompilation> proxies;  // those in step are so with `mesh`

  void begin(Resources now) {
    for (ProxyCompilation& proxy : proxies) proxy.forget();
    mesh.reset();
    mesh.emplace(std::move(now));
  }

  // Takes `now`, or returns false when there are too many changes for it, or too far-reaching ones.
  bool follow(Resources& now) {
    const Changes changes = changes_between(mesh->resources, now);
    if (changes.none()) return true;
    if (changes.others || changes.size() > kFew) return false;
    FewChanges few{changes, hosts_concerned(*mesh, changes), {}};
    if (few.hosts.size() > kFew) return false;
    few.definitions = mesh->definitions_of(few.hosts);
    for (ProxyCompilation& proxy : proxies) proxy.prepare(few, now);
    mesh->follow(changes, std::move(now));
    few.definitions = mesh->definitions_of(few.hosts);
    for (ProxyCompilation& proxy : proxies) proxy.follow(few);
    return true;
  }
};

Compiler::Compiler(std::vector<ProxyIdentity> proxies) : impl_(std::make_unique<Impl>()) {
  for (ProxyIdentity& identity : proxies) impl_->proxies.emplace_back(std::move(identity));
}
Compiler::~Compiler() = default;

std::vector<model::SnapshotPtr> Compiler::compile(Resources resources, Keep keep,
                                                  const std::vector<bool>& left_out) {
  Impl& impl = *impl_;
  const auto out = [&](size_t i) { return i < left_out.size() && left_out[i]; };
  for (size_t i = 0; i < impl.proxies.size(); ++i)
    if (out(i)) impl.proxies[i].forget();
  if (!impl.mesh || keep == Keep::kNothing || !impl.follow(resources)) impl.begin(std::move(resources));

  std::vector<model::SnapshotPtr> made(impl.proxies.size());
  for (size_t i = 0; i < impl.proxies.size(); ++i) {
    ProxyCompilation& proxy = impl.proxies[i];
    if (out(i)) continue;
    if (!proxy.in_step()) proxy.make(*impl.mesh);
    made[i] = proxy.snapshot();
    if (keep == Keep::kNothing) proxy.forget();
  }
  if (keep == Keep::kNothing) impl.mesh.reset();
  return made;
}

}  // namespace sockmesh::config
