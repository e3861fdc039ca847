#include "model/findings.h"

#include <fmt/format.h>
#include <fnmatch.h>

namespace sockmesh::model {

namespace {

// "VirtualService echo.default": how Istio names an object.
std::string friendly_name(const Origin& origin) {
  return fmt::format("{} {}{}{}", origin.kind, origin.name, origin.ns.empty() ? "" : ".", origin.ns);
}

}  // namespace

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "Info";
    case Severity::kWarning:
      return "Warning";
    case Severity::kError:
      return "Error";
  }
  return "";
}

std::optional<Severity> parse_severity(std::string_view name) {
  for (const Severity one : {Severity::kInfo, Severity::kWarning, Severity::kError})
    if (name == to_string(one)) return one;
  return std::nullopt;
}

std::string to_string(const Finding& finding) {
  const Origin& origin = *finding.object;
  std::string where = origin.name.empty() ? origin.kind.str() : friendly_name(origin);
  if (!origin.file.empty()) {
    where += (where.empty() ? "" : " ") + origin.file;
    if (origin.line > 0) where += fmt::format(":{}", origin.line);
  }
  return fmt::format("{} [{}] ({}) {}", to_string(finding.severity), finding.code, where, finding.text);
}

bool is_suppressed(const Finding& finding, std::string_view rule) {
  const size_t equals = rule.find('=');
  if (equals == std::string_view::npos || finding.code != rule.substr(0, equals)) return false;
  const std::string pattern(rule.substr(equals + 1));
  return fnmatch(pattern.c_str(), friendly_name(*finding.object).c_str(), 0) == 0;
}

}  // namespace sockmesh::model
