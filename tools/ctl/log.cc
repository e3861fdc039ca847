// sockmeshctl log: the log levels of the running agent. `proxy-config log` is the same under istioctl's name.
#include "ctl/log.h"

#include "base/strings.h"
#include "ctl/commands.h"
#include "ctl/subject.h"

namespace sockmesh::ctl {

namespace {

constexpr const char* kLevels = "trace, debug, info, warning, error, critical, off";
constexpr const char* kResetLevel = "warning";  // istioctl's when the injector sets none

bool is_level(std::string_view text) {
  for (const std::string_view level : split(kLevels, ','))
    if (trim(level) == text) return true;
  return false;
}

}  // namespace

// istioctl's: one level for all, or a comma list of logger:level (or logger=level).
Result<std::string> logging_target(const std::string& levels) {
  if (levels.empty()) return std::string("/logging");
  if (is_level(levels)) return "/logging?level=" + levels;
  std::string paths;
  for (const std::string_view part : split(levels, ',', /*skip_empty=*/true)) {
    const size_t at = part.find_first_of(":=");
    if (at == std::string_view::npos || at == 0 || !is_level(part.substr(at + 1)))
      return fail("level '{}': expected one of {}, or LOGGER:LEVEL", part, kLevels);
    if (!paths.empty()) paths += ',';
    paths += fmt::format("{}:{}", part.substr(0, at), part.substr(at + 1));
  }
  return "/logging?paths=" + url_encode(paths);
}

Result<int> run_log(Context& context, const LogOptions& options) {
  SOCKMESH_TRY(target, logging_target(options.reset ? kResetLevel : options.level));
  if (!options.pod.empty()) {
    SOCKMESH_TRY(status, get(context, "/v1/status"));
    const Json& identity = status["identity"];
    context.world.out << fmt::format("{}.{}:\n", cell(identity, "pod"), cell(identity, "namespace"));
  }
  SOCKMESH_TRY(reply, context.world.http(context.run_dir, "POST", target));
  if (reply.status != 200) return fail("{}", trim(reply.body));
  context.world.out << reply.body;
  return kOk;
}

void declare_log(CLI::App& app, Context& context) {
  auto options = std::make_shared<LogOptions>();
  CLI::Option* level = app.add_option("--level", options->level,
                                      std::string("set: LEVEL, or LOGGER:LEVEL,...; levels: ") + kLevels)
                           ->type_name("LEVEL");
  app.add_flag("-r,--reset", options->reset, "set all to warning")->excludes(level);
  runs(app, context, options, run_log);
}

}  // namespace sockmesh::ctl
