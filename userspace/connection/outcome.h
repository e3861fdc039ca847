// What a relay's values mean for the record of its connection: how far it is, and in Envoy's words, how it
// ended. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "datapath/relay.h"
#include "model/flags.h"
#include "model/snapshot.h"
#include "telemetry/connection_record.h"

namespace sockmesh::connection {

void note_progress(const datapath::Progress& progress, telemetry::ConnectionRecord& record);

// The flag that the end of a relay raises, if any: DT, UR. A FIN from either side, an idle timeout and a
// client that resets leave "-", as in Envoy (docs/istio.md#response-flags).
std::optional<model::ResponseFlag> flag_of(datapath::CloseReason reason);

// Times of the route as the relay needs them. `age` is how long ago the connection was accepted: the maximum
// duration counts from there.
datapath::RelayOptions relay_options(const model::Route& route, Duration age);

// How long to wait for the first bytes; absent: as long as it takes (Istio's default).
std::optional<Duration> detection_timeout(const model::MeshSettings& mesh);

}  // namespace sockmesh::connection
