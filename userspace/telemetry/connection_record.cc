#include "telemetry/connection_record.h"

namespace sockmesh::telemetry {

const char* to_string(ConnectionState state) {
  switch (state) {
    case ConnectionState::kAccepted:
      return "accepted";
    case ConnectionState::kInspecting:
      return "inspecting";
    case ConnectionState::kConnecting:
      return "connecting";
    case ConnectionState::kRelaying:
      return "relaying";
    case ConnectionState::kClosed:
      return "closed";
  }
  return "unknown";
}

}  // namespace sockmesh::telemetry
