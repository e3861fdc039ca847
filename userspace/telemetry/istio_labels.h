// The labels of Istio's standard TCP metrics, made from a connection record by Istio's rules
// (docs/istio.md#metrics; Istio's stats filter). Pure, any thread.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/connection_record.h"

namespace sockmesh::telemetry {

// In Istio's order.
inline constexpr std::array<std::string_view, 23> kIstioLabels = {
    "reporter",
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
    "destination_workload",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_service",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_service_name",
    "destination_service_namespace",
    "destination_cluster",
    "request_protocol",
    "response_flags",
    "connection_security_policy",
};

// The label values, joined by '\x1f' in the order of kIstioLabels: one text is one series.
std::string istio_label_key(const ConnectionRecord& record);

// The values of a key; all "unknown" but the name of the overflow series when the key is not one of ours.
std::vector<std::string> istio_label_values(std::string_view key);

}  // namespace sockmesh::telemetry
