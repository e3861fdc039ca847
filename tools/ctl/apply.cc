// sockmeshctl apply: puts a folder of manifests in force, or with --plan only says what that would change. An
// agent follows its folder, so applying is: read and check the new folder, tell the difference, replace the
// agent's folder in one step, wait until the agent says that it follows. All of it happens here, in the
// process of whoever asks; the agent does nothing that it would not do anyway.
#include <algorithm>

#include "config/compiler/compiler.h"
#include "ctl/commands.h"
#include "ctl/folder_swap.h"
#include "ctl/plan_view.h"
#include "ctl/subject.h"

namespace sockmesh::ctl {

namespace {

constexpr auto kFollowTime = std::chrono::seconds(15);  // within which an agent should follow its folder
constexpr auto kAskAgain = std::chrono::milliseconds(100);

struct ApplyOptions {
  Subject subject;
  std::string folder, output = "text";
  bool plan_only = false;
};

// The proxy for which to plan, and where its configuration lies.
struct Target {
  config::ProxyIdentity identity;
  std::string folder, version;  // version "": offline, nobody runs it
};

Result<Target> running_target(const Context& context) {
  SOCKMESH_TRY(status, get(context, "/v1/status"));
  const Json &config = status["config"], &identity = status["identity"];
  if (cell(config, "source") != "folder")
    return fail("the agent takes its configuration from {} {}: change it there", cell(config, "source"),
                cell(config, "location"));
  Target target{.identity = {}, .folder = cell(config, "location"), .version = cell(config, "version")};
  target.identity.role = config::parse_role(cell(identity, "role")).value_or(config::Role::kSidecar);
  target.identity.pod = cell(identity, "pod");
  target.identity.ns = cell(identity, "namespace");
  target.identity.node = cell(identity, "node");
  target.identity.tproxy = cell(identity, "interception") == "TPROXY";
  if (const std::string cluster = cell(identity, "clusterId"); !cluster.empty())
    target.identity.cluster_id = cluster;
  for (const Json& ip : identity["ips"])
    if (const auto address = IpAddress::parse(ip.get<std::string>())) target.identity.ips.push_back(*address);
  for (const auto& [key, value] : identity["labels"].items())
    target.identity.labels[key] = value.get<std::string>();
  return target;
}

Result<Target> offline_target(const Subject& subject) {
  SOCKMESH_TRY(identity, identity_of(subject.pod, subject.role));
  return Target{std::move(identity), subject.config, ""};
}

std::optional<model::TlsHello> hello_of(const Json& flow) {
  const std::string name = cell(flow, "serverName");
  if (name.empty()) return std::nullopt;
  return model::TlsHello{true, name};
}

// The open connections, as far as their decision could change.
Result<std::vector<model::OpenFlow>> open_flows(const Context& context, const model::Snapshot& before) {
  SOCKMESH_TRY(view, get(context, "/v1/flows"));
  std::vector<model::OpenFlow> flows;
  for (const Json& flow : view["flows"]) {
    const auto destination = SocketAddress::parse(cell(flow, "originalDestination"));
    const auto source = SocketAddress::parse(cell(flow, "downstream"));
    if (!destination || !source || cell(flow, "cluster").empty()) continue;  // not routed yet
    model::OpenFlow open{.id = cell(flow, "id"),
                         .original_destination = *destination,
                         .source = *source,
                         .cluster = cell(flow, "cluster"),
                         .hello = hello_of(flow)};
    if (cell(flow, "direction") == "inbound") open.direction = model::Direction::kInbound;
    if (const auto upstream = SocketAddress::parse(cell(flow, "upstream"))) open.upstream = *upstream;
    const std::string listener = cell(flow, "listener");
    const bool bound = std::any_of(before.listeners.begin(), before.listeners.end(), [&](const auto& l) {
      return l->bind_to_port && l->name == listener && l->name != model::kVirtualOutbound &&
             l->name != model::kVirtualInbound;
    });
    if (bound) open.bound_listener = listener;
    flows.push_back(std::move(open));
  }
  return flows;
}

// Waits until the agent runs what its folder now holds.
Result<void> wait_until_followed(const Context& context, const std::string& version) {
  for (auto waited = kAskAgain; waited < kFollowTime; waited += kAskAgain) {
    SOCKMESH_TRY(status, get(context, "/v1/status"));
    if (cell(status["config"], "version") == version) return {};
    if (!context.world.pause(kAskAgain)) break;
  }
  return fail("the folder is replaced, but the agent does not follow yet; `sockmeshctl status` says why");
}

Result<int> run_apply(Context& context, const ApplyOptions& options) {
  std::ostream &out = context.world.out, &err = context.world.err;
  const bool offline = options.subject.offline();
  if (offline && !options.plan_only)
    return fail("--config with apply: offline there is only --plan; nobody runs what would be applied");
  SOCKMESH_TRY(target, offline ? offline_target(options.subject) : running_target(context));

  SOCKMESH_TRY(wanted, read_folder(options.folder));
  for (const auto& problem : wanted.problems) err << problem.to_string() << "\n";
  if (!wanted.problems.empty() && !options.plan_only) {
    err << "nothing is applied: " << options.folder << " does not say what it means to\n";
    return kUnreadable;
  }
  SOCKMESH_TRY(current, read_folder(target.folder));
  const auto before = config::compile(current.resources, target.identity);
  const auto after = config::compile(wanted.resources, target.identity);
  if (!offline && before->version != target.version)
    err << fmt::format(
        "note: the agent runs version {}, its folder {} compiles to {}: the plan starts from the folder\n",
        target.version, target.folder, before->version);

  std::vector<model::OpenFlow> flows;
  if (!offline) {
    SOCKMESH_TRY(open, open_flows(context, *before));
    flows = std::move(open);
  }
  const model::Plan plan = model::make_plan(*before, *after, flows);
  if (options.output == "json")
    out << json_text(plan_view(plan, before->version, after->version));
  else
    out << model::to_text(plan);
  if (options.plan_only) return plan.flows.empty() ? kOk : kTouchesFlows;

  SOCKMESH_CHECK(replace_folder(target.folder, options.folder));
  SOCKMESH_CHECK(wait_until_followed(context, after->version));
  if (options.output != "json")
    out << fmt::format("applied: {} now holds {}, the agent runs version {}; open flows stay as they are\n",
                       target.folder, options.folder, after->version);
  return kOk;
}

}  // namespace

void declare_apply(CLI::App& app, Context& context) {
  auto options = std::make_shared<ApplyOptions>();
  app.add_option("folder", options->folder, "the manifests that shall be in force, all of them")
      ->required()
      ->type_name("DIR");
  app.add_flag(
      "--plan", options->plan_only,
      "change nothing, say what would change; exit status 3 when open flows would be routed otherwise");
  add_output(app, options->output, {"text", "json"});
  add_subject(app, options->subject);
  runs(app, context, options, run_apply);
}

}  // namespace sockmesh::ctl
