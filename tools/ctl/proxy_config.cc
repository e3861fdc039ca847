// sockmeshctl proxy-config (pc): istioctl's command, so that eyes and scripts used to it find what they know.
// Reads the agent of --run-dir, a folder offline (--config, --pod), or a dump (-f).
#include "ctl/commands.h"
#include "ctl/dump.h"
#include "ctl/log.h"
#include "ctl/pc_tables.h"

namespace sockmesh::ctl {

namespace {

struct Common {
  Subject subject;
  std::string file, pod, output = "short";
};

struct ClustersOptions : Common {
  ClusterFilter filter;
};
struct ListenersOptions : Common {
  ListenerFilter filter;
  bool verbose = true;
};
struct EndpointsOptions : Common {
  EndpointFilter filter;
};
struct RoutesOptions : Common {
  std::string name;
  bool verbose = true;
};
struct AllOptions : Common {
  std::string fqdn, direction, subset, address, type, cluster, status, route;
  std::optional<uint16_t> port;
  bool headers = false, verbose = true;
};

// istioctl names the pod on the command line. Offline that is whose eyes to look through; online it has to be
// the agent's own, so that a script that asks for another pod is not answered with this one.
Result<Dump> dump_for(const Context& context, const Common& common) {
  Subject subject = common.subject;
  if (subject.offline() && subject.pod.empty()) subject.pod = common.pod;
  SOCKMESH_TRY(dump, dump_of(context, subject, common.file));
  if (!common.pod.empty() && common.file.empty() && !subject.offline()) {
    SOCKMESH_TRY(status, get(context, "/v1/status"));
    const Json& identity = status["identity"];
    const std::string name = cell(identity, "pod"), full = name + "." + cell(identity, "namespace");
    if (common.pod != full && common.pod != name)
      return fail("'{}': the agent of {} belongs to {}", common.pod, context.run_dir, full);
  }
  return dump;
}

int print(Context& context, const Common& common, const Json& protos, const std::string& table) {
  if (common.output == "json")
    context.world.out << json_text(protos, 4);
  else if (common.output == "yaml")
    context.world.out << yaml_text(protos);
  else
    context.world.out << table;
  return kOk;
}

Result<int> run_clusters(Context& context, const ClustersOptions& options) {
  SOCKMESH_TRY(dump, dump_for(context, options));
  if (dump.clusters.empty()) return fail("no clusters found");
  const Json kept = filtered_clusters(dump.clusters, options.filter);
  return print(context, options, kept, pc_clusters_table(kept, false));
}

Result<int> run_listeners(Context& context, const ListenersOptions& options) {
  SOCKMESH_TRY(dump, dump_for(context, options));
  const Json kept = filtered_listeners(dump.listeners, options.filter);
  return print(context, options, kept, pc_listeners_table(kept, options.verbose, false));
}

Result<int> run_endpoints(Context& context, const EndpointsOptions& options) {
  SOCKMESH_TRY(dump, dump_for(context, options));
  const Json kept = filtered_endpoints(dump.statuses, options.filter);
  return print(context, options, kept, pc_endpoints_table(kept));
}

Result<int> run_routes(Context& context, const RoutesOptions& options) {
  SOCKMESH_TRY(dump, dump_for(context, options));
  const Json kept = routes_of(dump.listeners, options.name);
  return print(context, options, kept, pc_routes_table(kept, options.verbose, false));
}

struct BootstrapOptions : Common {};
Result<int> run_bootstrap(Context& context, const BootstrapOptions& options) {
  SOCKMESH_TRY(dump, dump_for(context, options));
  const Json& node = dump.bootstrap.value("node", Json::object());
  return print(context, options, Json{{"bootstrap", dump.bootstrap}}, cell(node, "id") + "\n");
}

Result<int> run_all(Context& context, const AllOptions& options) {
  SOCKMESH_TRY(dump, dump_for(context, options));
  if (options.output != "short") return print(context, options, dump.whole, "");
  const auto& o = options;
  const std::pair<const char*, std::string> sections[] = {
      {"BOOTSTRAP", cell(dump.bootstrap.value("node", Json::object()), "id") + "\n"},
      {"CLUSTER",
       pc_clusters_table(filtered_clusters(dump.clusters, {o.fqdn, o.direction, o.subset, o.port}), true)},
      {"LISTENER",
       pc_listeners_table(filtered_listeners(dump.listeners, {o.address, o.type, o.port}), o.verbose, true)},
      {"ROUTE", pc_routes_table(routes_of(dump.listeners, o.route), o.verbose, true)},
      // No secrets: the agent terminates no TLS.
      {"SECRET",
       "RESOURCE NAME     TYPE     STATUS     VALID CERT     SERIAL NUMBER     NOT AFTER     NOT BEFORE\n"},
      {"ENDPOINTS",
       pc_eds_table(filtered_endpoints(dump.statuses, {o.address, o.cluster, o.status, o.port}))},
  };
  std::string text;
  for (const auto& [name, section] : sections) {
    if (!text.empty()) text += "\n";
    if (options.headers) text += fmt::format("------ {} INFO ------\n\n", name);
    text += section;
  }
  context.world.out << text;
  return kOk;
}

void add_common(CLI::App& app, Common& common) {
  app.add_option("pod", common.pod, "the pod, NAME or NAME.NAMESPACE; online the agent's own")
      ->type_name("POD");
  add_output(app, common.output, {"short", "json", "yaml"});
  CLI::Option* file =
      app.add_option("-f,--file", common.file,
                     "a config_dump, or clusters?format=json, instead of an agent ('-': stdin)")
          ->type_name("FILE");
  add_subject(app, common.subject);
  app.get_option("--config")->excludes(file);
}

template <typename Options>
CLI::App& add_section(CLI::App& app, const char* name, std::vector<std::string> aliases, const char* help,
                      Context& context, std::shared_ptr<Options> options,
                      Result<int> (*run)(Context&, const Options&)) {
  CLI::App& sub = *app.add_subcommand(name, help);
  for (const std::string& alias : aliases) sub.alias(alias);
  add_common(sub, *options);
  runs(sub, context, std::move(options), run);
  return sub;
}

void add_log(CLI::App& app, Context& context) {
  auto options = std::make_shared<LogOptions>();
  CLI::App& log = *app.add_subcommand("log", "log levels of the agent, shown or set")->alias("o");
  log.add_option("pod", options->pod, "the agent's own pod")->type_name("POD");
  CLI::Option* level = log.add_option("--level", options->level, "set: LEVEL, or LOGGER:LEVEL,...");
  log.add_flag("-r,--reset", options->reset, "set all to warning")->excludes(level);
  log.callback([&context, options] {
    if (options->pod.empty()) options->pod = "-";
    context.finish(run_log(context, *options));
  });
}

}  // namespace

void declare_proxy_config(CLI::App& app, Context& context) {
  app.require_subcommand(1);
  {
    auto o = std::make_shared<ClustersOptions>();
    CLI::App& sub = add_section(app, "cluster", {"clusters", "c"}, "clusters", context, o, run_clusters);
    sub.add_option("--fqdn", o->filter.fqdn, "part of the cluster's name");
    sub.add_option("--direction", o->filter.direction, "part of the cluster's name");
    sub.add_option("--subset", o->filter.subset, "part of the cluster's name");
    sub.add_option("--port", o->filter.port, "of the service");
  }
  {
    auto o = std::make_shared<ListenersOptions>();
    CLI::App& sub = add_section(app, "listener", {"listeners", "l"}, "listeners", context, o, run_listeners);
    sub.add_option("--address", o->filter.address, "one of its addresses");
    sub.add_option("--port", o->filter.port, "its port");
    sub.add_option("--type", o->filter.type, "HTTP, TCP, HTTP+TCP or UNKNOWN");
    sub.add_flag("--verbose,!--no-verbose", o->verbose, "a row a filter chain (default), or --verbose=false");
  }
  {
    auto o = std::make_shared<EndpointsOptions>();
    CLI::App& sub = add_section(app, "endpoint", {"endpoints", "ep"}, "endpoints", context, o, run_endpoints);
    sub.add_option("--address", o->filter.address, "IP address");
    sub.add_option("--port", o->filter.port, "port");
    sub.add_option("--cluster", o->filter.cluster, "name of the cluster");
    sub.add_option("--status", o->filter.status, "HEALTHY, UNHEALTHY, DRAINING, ...");
  }
  {
    auto o = std::make_shared<RoutesOptions>();
    CLI::App& sub = add_section(app, "route", {"routes", "r"}, "routes: the TCP ones, by listener", context,
                                o, run_routes);
    sub.add_option("--name", o->name, "name of the listener");
    sub.add_flag("--verbose,!--no-verbose", o->verbose, "a row a destination (default), or --verbose=false");
  }
  add_section(app, "bootstrap", {"b"}, "the proxy's identity", context, std::make_shared<BootstrapOptions>(),
              run_bootstrap);
  {
    auto o = std::make_shared<AllOptions>();
    CLI::App& sub = add_section(app, "all", {"a"}, "everything", context, o, run_all);
    sub.add_option("--fqdn", o->fqdn, "clusters: part of the name");
    sub.add_option("--direction", o->direction, "clusters: part of the name");
    sub.add_option("--subset", o->subset, "clusters: part of the name");
    sub.add_option("--address", o->address, "listeners, endpoints: address");
    sub.add_option("--type", o->type, "listeners: HTTP, TCP, HTTP+TCP or UNKNOWN");
    sub.add_option("--cluster", o->cluster, "endpoints: name of the cluster");
    sub.add_option("--status", o->status, "endpoints: HEALTHY, UNHEALTHY, ...");
    sub.add_option("--name", o->route, "routes: name of the listener");
    sub.add_option("--port", o->port, "clusters, listeners, endpoints: port");
    sub.add_flag("--with-headers", o->headers, "a title above each section");
    sub.add_flag("--verbose,!--no-verbose", o->verbose, "--verbose=false shortens listeners and routes");
  }
  add_log(app, context);
}

}  // namespace sockmesh::ctl
