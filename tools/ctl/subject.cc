#include "ctl/subject.h"

#include <algorithm>

#include "base/strings.h"
#include "config/compiler/compiler.h"
#include "config/source/folder.h"

namespace sockmesh::ctl {

void add_subject(CLI::App& app, Subject& subject) {
  CLI::Option* config =
      app.add_option("--config", subject.config, "offline: read this folder of manifests instead of an agent")
          ->type_name("DIR");
  app.add_option("--pod", subject.pod, "offline: as which pod, NAME.NAMESPACE")
      ->needs(config)
      ->type_name("NAME.NS");
  app.add_option("--role", subject.role, "offline: sidecar or gateway")
      ->check(CLI::IsMember({"sidecar", "gateway"}))
      ->needs(config)
      ->type_name("ROLE");
}

std::string url_encode(const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

namespace {

Result<std::string> request(const Context& context, const char* method, const std::string& target) {
  SOCKMESH_TRY(reply, context.world.http(context.run_dir, method, target));
  if (reply.status == 200) return reply.body;
  const Json body = Json::parse(reply.body, nullptr, /*allow_exceptions=*/false);
  const std::string text = body.is_object() ? cell(body, "error") : std::string(trim(reply.body));
  return fail("{}", text.empty() ? fmt::format("the agent answered {} to {}", reply.status, target) : text);
}

Result<Json> parsed(const std::string& body, const std::string& target) {
  Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return fail("the agent's answer to {} is not JSON", target);
  return json;
}

}  // namespace

Result<std::string> get_text(const Context& context, const std::string& target) {
  return request(context, "GET", target);
}

Result<Json> get(const Context& context, const std::string& target) {
  SOCKMESH_TRY(body, request(context, "GET", target));
  return parsed(body, target);
}

Result<Json> post(const Context& context, const std::string& target) {
  SOCKMESH_TRY(body, request(context, "POST", target));
  return parsed(body, target);
}

Result<Manifests> read_folder(const std::string& folder) {
  SOCKMESH_TRY(source, config::FolderSource::open(folder));
  auto loaded = source->load();
  return Manifests{std::move(loaded.resources), std::move(loaded.problems)};
}

Result<config::ProxyIdentity> identity_of(const std::string& pod, const std::string& role) {
  const size_t dot = pod.rfind('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == pod.size())
    return fail("--pod '{}': expected NAME.NAMESPACE, the pod through whose eyes to look", pod);
  config::ProxyIdentity identity;
  identity.pod = pod.substr(0, dot);
  identity.ns = pod.substr(dot + 1);
  identity.role = config::parse_role(role).value_or(config::Role::kSidecar);
  return identity;
}

Result<model::SnapshotPtr> compile_offline(const Context& context, const Subject& subject) {
  SOCKMESH_TRY(identity, identity_of(subject.pod, subject.role));
  SOCKMESH_TRY(manifests, read_folder(subject.config));
  for (const auto& problem : manifests.problems) context.world.err << problem.to_string() << "\n";
  const auto& pods = manifests.resources.pods;
  const bool known = std::any_of(pods.begin(), pods.end(), [&](const auto& pod) {
    return pod->meta.name == identity.pod && pod->meta.ns == identity.ns;
  });
  if (!known)
    context.world.err << fmt::format(
        "note: {} has no Pod {}/{}: its labels and addresses are not known, so nothing selects it\n",
        subject.config, identity.ns, identity.pod);
  return config::compile(manifests.resources, identity);
}

Result<Json> view_of(const Context& context, const Subject& subject, const std::string& target,
                     Json (*view)(const model::Snapshot&)) {
  if (!subject.offline()) return get(context, target);
  SOCKMESH_TRY(snapshot, compile_offline(context, subject));
  return view(*snapshot);
}

}  // namespace sockmesh::ctl
