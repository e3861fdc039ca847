// sockmeshctl analyze: what is wrong or surprising in a set of manifests, with istioctl's flags, lines and
// exit statuses. Files, folders, standard input, or without any of them the folder that a running agent
// follows.
#include "config/analysis/analyze.h"

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "base/utf8.h"
#include "config/manifest/reader.h"
#include "config/source/folder_scan.h"
#include "ctl/commands.h"
#include "ctl/subject.h"
#include "ctl/table.h"
#include "model/finding_codes.h"
#include "model/findings.h"

namespace sockmesh::ctl {

namespace {

struct AnalyzeOptions {
  std::vector<std::string> paths, suppressed;
  std::string output = "log", ns, mesh_config, failure_threshold = "Error", output_threshold = "Info";
  bool all_namespaces = false, recursive = false, list = false, list_codes = false;
  // istioctl's, without a meaning here: no cluster is asked, nothing is coloured, unknown kinds are no
  // errors.
  bool use_kube = false, color = false, ignore_unknown = false;
  std::string timeout;
};

// Of a name that the command line has checked. An agent that is newer than we are may have others.
model::Severity severity_of(const std::string& level) {
  return model::parse_severity(level).value_or(model::Severity::kError);
}

struct Input {
  Manifests manifests;
  bool unparsable = false;  // something is not YAML
};

Result<void> read_text(const Context& context, const std::string& path, const std::string& name,
                       Input& input) {
  SOCKMESH_TRY(text, context.world.read_file(path));
  if (!config::read_manifest(text, name, input.manifests.resources, input.manifests.problems))
    input.unparsable = true;
  return {};
}

Result<void> read_path(const Context& context, const std::string& path, bool recursive, Input& input) {
  if (path == "-" || !std::filesystem::is_directory(path)) return read_text(context, path, path, input);
  const auto scan = config::scan_folder(path, [](const std::string&) {});
  for (const auto& problem : scan.problems.first) input.manifests.problems.push_back(problem);
  for (const auto& file : scan.files) {
    const bool deeper = file.name.find('/') != std::string::npos;
    if (!deeper || recursive)
      SOCKMESH_CHECK(
          read_text(context, file.path, path + (path.back() == '/' ? "" : "/") + file.name, input));
  }
  return {};
}

// A bare MeshConfig, in the ConfigMap in which Istio stores it.
Result<void> read_mesh_config(const Context& context, const std::string& path, Input& input) {
  SOCKMESH_TRY(text, context.world.read_file(path));
  if (const auto fault = text_fault(text)) {  // JSON has no way to hold it
    const auto line =
        1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(fault->offset), '\n');
    input.manifests.problems.push_back(
        {path, static_cast<int>(line), "", "",
         fmt::format("{}: expected UTF-8 text without control characters", fault->what), false});
    input.unparsable = true;
    return {};
  }
  const Json map = {{"apiVersion", "v1"},
                    {"kind", "ConfigMap"},
                    {"metadata", {{"name", "istio"}, {"namespace", "istio-system"}}},
                    {"data", {{"mesh", text}}}};
  if (!config::read_manifest(map.dump(), path, input.manifests.resources, input.manifests.problems))
    input.unparsable = true;
  return {};
}

// `status` is the agent's; it is asked where no path is given.
Result<std::vector<std::string>> paths_of(const AnalyzeOptions& options, const Json& status) {
  if (!options.paths.empty()) return options.paths;
  if (cell(status["config"], "source") != "folder")
    return fail("the agent takes its configuration from {}: give files or folders to analyze",
                cell(status["config"], "location"));
  return std::vector<std::string>{cell(status["config"], "location")};
}

// What an agent finds in its pod, which manifests do not show: applications that listen on localhost alone.
void add_pod_findings(const Json& status, std::vector<model::Finding>& findings) {
  for (const Json& one : status.value("findings", Json::array())) {
    if (cell(one, "code") != "IST0143") continue;
    const Json& object = one["object"];
    findings.push_back({cell(one, "code"), severity_of(cell(one, "severity")),
                        std::make_shared<const model::Origin>(model::Origin{
                            cell(object, "kind"), cell(object, "name"), cell(object, "namespace"), "", 0}),
                        cell(one, "text")});
  }
}

bool wanted(const model::Finding& finding, const AnalyzeOptions& options) {
  if (finding.severity < severity_of(options.output_threshold)) return false;
  const bool elsewhere = finding.object && !finding.object->ns.empty() && finding.object->ns != options.ns;
  if (!options.ns.empty() && !options.all_namespaces && elsewhere) return false;
  return std::none_of(options.suppressed.begin(), options.suppressed.end(),
                      [&](const std::string& rule) { return model::is_suppressed(finding, rule); });
}

// istioctl's fields.
Json findings_view(const std::vector<model::Finding>& findings) {
  Json list = Json::array();
  for (const model::Finding& finding : findings) {
    Json item = {{"code", finding.code},
                 {"level", std::string(model::to_string(finding.severity))},
                 {"message", finding.text}};
    if (finding.code.starts_with("IST"))
      item["documentationUrl"] =
          fmt::format("https://istio.io/latest/docs/reference/config/analysis/{}/", to_lower(finding.code));
    if (const auto& object = finding.object; object && !object->name.empty())
      item["origin"] =
          fmt::format("{} {}{}", object->kind, object->ns.empty() ? "" : object->ns + "/", object->name);
    if (const auto& object = finding.object; object && !object->file.empty())
      item["reference"] =
          object->line > 0 ? fmt::format("{}:{}", object->file, object->line) : object->file.str();
    list.push_back(std::move(item));
  }
  return list;
}

// "namespace: default", "all namespaces" for the folder of an agent; else what was named.
std::string subject_text(const AnalyzeOptions& options) {
  if (!options.paths.empty()) return join(options.paths, ", ");
  return options.ns.empty() ? "all namespaces" : "namespace: " + options.ns;
}

int report(Context& context, const AnalyzeOptions& options, const std::vector<model::Finding>& findings) {
  std::ostream &out = context.world.out, &err = context.world.err;
  if (options.output == "json") {
    out << json_text(findings_view(findings));
    return kOk;
  }
  if (options.output == "yaml") {
    out << yaml_text(findings_view(findings));
    return kOk;
  }
  for (const model::Finding& finding : findings) out << model::to_string(finding) << "\n";
  if (findings.empty()) {
    err << "\u2714 No validation issues found when analyzing " << subject_text(options) << ".\n";
    return kOk;
  }
  const auto threshold = severity_of(options.failure_threshold);
  const bool fails = std::any_of(findings.begin(), findings.end(), [&](const model::Finding& finding) {
    return finding.severity >= threshold;
  });
  if (!fails) return kOk;
  err << "Error: Analyzers found issues when analyzing " << subject_text(options) << ".\n";
  return kFindings;
}

Result<int> run_analyze(Context& context, const AnalyzeOptions& options) {
  if (options.list) {
    for (const config::Analyzer& analyzer : config::analyzers())
      context.world.out << fmt::format("* {}: {}\n", analyzer.name, analyzer.description);
    return kOk;
  }
  if (options.list_codes) {
    Table table({"CODE", "LEVEL", "WHAT", "CURE"});
    for (const model::FindingCode& row : model::finding_codes())
      table.row({std::string(row.code), std::string(model::to_string(row.severity)), std::string(row.meaning),
                 std::string(row.cure)});
    context.world.out << table.text();
    return kOk;
  }
  Json status = Json::object();
  if (options.paths.empty()) {
    SOCKMESH_TRY(asked, get(context, "/v1/status"));
    status = std::move(asked);
  }
  SOCKMESH_TRY(paths, paths_of(options, status));
  Input input;
  for (const std::string& path : paths)
    SOCKMESH_CHECK(read_path(context, path, options.recursive || options.paths.empty(), input));
  if (!options.mesh_config.empty()) SOCKMESH_CHECK(read_mesh_config(context, options.mesh_config, input));

  std::vector<model::Finding> findings = config::analyze(input.manifests.resources, input.manifests.problems);
  add_pod_findings(status, findings);
  std::erase_if(findings, [&](const model::Finding& finding) { return !wanted(finding, options); });
  const int exit = report(context, options, findings);
  return input.unparsable ? kUnreadable : exit;
}

}  // namespace

void declare_analyze(CLI::App& app, Context& context) {
  auto o = std::make_shared<AnalyzeOptions>();
  const CLI::IsMember levels({"Info", "Warning", "Error"}, CLI::ignore_case);
  app.add_option("paths", o->paths,
                 "manifests or folders of them, '-' is standard input; none: the agent's folder")
      ->type_name("PATH");
  add_output(app, o->output, {"log", "json", "yaml"});
  app.add_option("-n,--namespace", o->ns, "only what concerns objects of this namespace");
  app.add_flag("-A,--all-namespaces", o->all_namespaces, "what concerns any namespace (default)");
  app.add_flag("-R,--recursive", o->recursive, "folders below a folder too");
  app.add_flag("-L,--list-analyzers", o->list, "list what is looked for");
  app.add_flag("--list-codes", o->list_codes, "list the codes of findings: what they mean, what cures them");
  app.add_option("-S,--suppress", o->suppressed,
                 "leave out, as CODE=RESOURCE: \"IST0134=ServiceEntry *.default\"")
      ->type_name("RULE")
      ->take_all();
  app.add_option("--failure-threshold", o->failure_threshold, "the level from which the exit status is 79")
      ->transform(levels);
  app.add_option("--output-threshold", o->output_threshold, "the level from which findings are printed")
      ->transform(levels);
  app.add_option("--meshConfigFile", o->mesh_config, "a MeshConfig, as under `mesh` in Istio's ConfigMap");
  app.add_flag("-k,--use-kube", o->use_kube, "no effect: no cluster is asked");
  app.add_flag("--color", o->color, "no effect");
  app.add_flag("--ignore-unknown", o->ignore_unknown, "no effect: unknown kinds are never errors");
  app.add_option("--timeout", o->timeout, "no effect");
  runs(app, context, o, run_analyze);
}

}  // namespace sockmesh::ctl
