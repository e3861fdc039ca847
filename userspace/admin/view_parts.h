// Parts that several views share. Includes the whole JSON library: .cc files only.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "admin/views.h"

namespace sockmesh::admin {

inline const char* direction_text(model::Direction direction) {
  return direction == model::Direction::kInbound ? "inbound" : "outbound";
}

inline Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

template <typename T>
Json number_or_null(const std::optional<T>& number) {
  return number ? Json(*number) : Json(nullptr);
}

inline double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }
inline Json seconds_or_null(const std::optional<Duration>& duration) {
  return duration ? Json(seconds(*duration)) : Json(nullptr);
}

std::string utc(WallTime time);  // "2026-08-22T10:11:12.345Z"

// {kind, name, namespace, file, line}; null for none.
Json object_view(const model::OriginPtr& origin);
// {name, state, addresses, error, answerAgeSeconds}
Json name_view(const NameStatus& name);
// [{cluster, weight, share}]
Json weights_view(const std::vector<model::WeightedCluster>& clusters);
Json endpoint_view(const std::string& cluster, const model::Endpoint& endpoint, const EndpointState* state);

// Finds what the agent knows of an endpoint. The states must outlive it.
class StateIndex {
 public:
  explicit StateIndex(const std::vector<EndpointState>& states);
  const EndpointState* find(const std::string& cluster, const std::string& address) const;  // null: nothing

 private:
  std::unordered_map<std::string, const EndpointState*> by_name_;
};

}  // namespace sockmesh::admin
