// What can be said of a listener, a route, a cluster or an endpoint, as (name, text) pairs in a fixed order:
// two of them are compared and the difference told without a word of code per field elsewhere. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/snapshot.h"

namespace sockmesh::model {

using Facts = std::vector<std::pair<std::string, std::string>>;

Facts facts_of(const Listener& listener);  // without its chains
Facts facts_of(const Cluster& cluster);    // without its endpoints
Facts facts_of(const Endpoint& endpoint);  // without its address

std::string describe_match(const FilterChainMatch& match);  // "everything", "port 9000 and SNI a.b"
std::string describe_route(const Route& route);             // "outbound|...", "80 % a, 20 % b"

// "name: a -> b" for each that differs; `-` stands for nothing.
std::vector<std::string> differences(const Facts& before, const Facts& after);

}  // namespace sockmesh::model
