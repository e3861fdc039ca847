// Findings as istioctl prints and suppresses them. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/snapshot.h"

namespace sockmesh::model {

// Istio's line: "Warning [IST0134] (ServiceEntry db.default se.yaml:12) ServiceEntry addresses are required
// ...".
std::string to_string(const Finding& finding);
std::string_view to_string(Severity severity);  // "Info", "Warning", "Error"
std::optional<Severity> parse_severity(std::string_view name);

// Whether istioctl's `-S CODE=RESOURCE` covers it: "IST0102=Namespace testing", "IST0134=ServiceEntry
// *.default"; `*` stands for any text.
bool is_suppressed(const Finding& finding, std::string_view rule);

}  // namespace sockmesh::model
