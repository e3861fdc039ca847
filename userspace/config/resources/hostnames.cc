#include "config/resources/hostnames.h"

#include <algorithm>

#include "base/address.h"

namespace sockmesh::config {

bool is_wildcard(std::string_view host) { return !host.empty() && host.front() == '*'; }

bool hosts_match(std::string_view a, std::string_view b) {
  if (is_wildcard(a) && is_wildcard(b)) {
    if (a.size() < b.size()) return b.substr(1).ends_with(a.substr(1));
    return a.substr(1).ends_with(b.substr(1));
  }
  if (is_wildcard(a)) return b.ends_with(a.substr(1));
  if (is_wildcard(b)) return a.ends_with(b.substr(1));
  return a == b;
}

bool host_covers(std::string_view a, std::string_view b) {
  if (is_wildcard(b)) return is_wildcard(a) && a.size() <= b.size() && b.substr(1).ends_with(a.substr(1));
  return hosts_match(a, b);
}

std::string full_name(std::string_view host, std::string_view ns, std::string_view domain) {
  std::string name(host);
  if (host.empty() || host == "*" || host.find('.') != std::string_view::npos || IpAddress::parse(host))
    return name;
  if (!ns.empty()) name.append(".").append(ns);
  if (!domain.empty()) name.append(".svc.").append(domain);
  return name;
}

bool exported_to_all(const std::vector<std::string>& export_to) {
  return std::find(export_to.begin(), export_to.end(), "*") != export_to.end();
}

bool exported_to(const std::vector<std::string>& export_to, std::string_view owner, std::string_view client) {
  return std::any_of(export_to.begin(), export_to.end(), [&](const std::string& to) {
    return to == "*" || to == client || (to == "." && owner == client);
  });
}

bool exported_privately(const std::vector<std::string>& export_to, std::string_view owner) {
  return !export_to.empty() && std::all_of(export_to.begin(), export_to.end(),
                                           [&](const std::string& to) { return to == "." || to == owner; });
}

}  // namespace sockmesh::config
