// The rules for people: each with the reason it exists and the flag that caused it, in the order packets meet
// them. Pure.
#pragma once

#include <string>

#include "iptables/rules.h"

namespace sockmesh::iptables {

std::string explain(const Plan& plan);

}  // namespace sockmesh::iptables
