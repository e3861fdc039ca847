// How JSON leaves sockmeshctl: indented text, or the same as YAML. And small readings of it, for tables.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sockmesh::ctl {

using Json = nlohmann::ordered_json;

std::string json_text(const Json& value, int indent = 2);  // ends with a newline
// Block style, keys sorted, as `kubectl -o yaml` and istioctl print it.
std::string yaml_text(const Json& value);

// The member as table text: "" for null and absent ones, numbers and booleans as written in JSON.
std::string cell(const Json& object, const char* key);
// The same, "-" instead of "".
std::string cell_or_dash(const Json& object, const char* key);

// "VirtualService default/echo (routes.yaml:14)"; "" for null.
std::string object_text(const Json& object);
// "26h3m", "1m5s", "250ms"
std::string age_text(double seconds);

}  // namespace sockmesh::ctl
