// Host names as Istio compares and completes them: wildcards, short names, visibility lists. Pure, any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sockmesh::config {

// "*", "*.example.com": a leading star is the wildcard, whatever follows.
bool is_wildcard(std::string_view host);

// Whether two names, each possibly a wildcard, have a host in common in the way Istio sees it (host.Name's
// Matches): "*.com" and "a.com", "*.a.com" and "*.com".
bool hosts_match(std::string_view a, std::string_view b);

// Whether every host of `b` is one of `a` (host.Name's SubsetOf, the other way round).
bool host_covers(std::string_view a, std::string_view b);

// A name without a dot is that of a service in `ns`: "echo" -> "echo.default.svc.cluster.local". "*" and
// addresses stay; so does "echo.default", which is nobody.
std::string full_name(std::string_view host, std::string_view ns, std::string_view domain);

// exportTo lists: "*" everybody, "." the owner's namespace, "~" nobody, else names of namespaces.
bool exported_to_all(const std::vector<std::string>& export_to);
bool exported_to(const std::vector<std::string>& export_to, std::string_view owner, std::string_view client);
// Only the owner's namespace sees it.
bool exported_privately(const std::vector<std::string>& export_to, std::string_view owner);

}  // namespace sockmesh::config
