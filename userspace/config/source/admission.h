// Admission: whether what was read from a source may become what an agent decides by. Pure, any thread.
//
// The rule: an error in what decides policy never widens it. What decides a proxy's policy is MeshConfig
// (outboundTrafficPolicy, egress lists, default exportTo, ...), the Sidecars that may be its own (of its
// namespace and of the root namespace) and its own Pod (its labels choose the Sidecar, its annotations add
// egress lists). Each of these is read whole or left out (config/manifest), and a text that cannot be read,
// or does not say which object it is, may have held any of them. So:
//
//   in force      what was read                                         then
//   -----------   ---------------------------------------------------   -------------------------------
//   nothing       something unreadable, or one of these is broken       refused: connections are held
//   nothing       no object at all: the folder is yet to be filled      refused
//   nothing       any other object broken                               taken, without that object
//   a last good   a broken object has its last good version             taken
//   a last good   one of these is missing, and is broken or may be      refused: what is in force stays,
//                 what is unreadable                                    as a whole
//   a last good   one of these is missing, all could be read            taken: it was deleted
//   a last good   anything else                                         taken
//
// A Service, route or policy that is broken is no reason to hold a pod: without it less is known, and what is
// not known is let out or not as MeshConfig and Sidecar say.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/resources/proxy.h"
#include "config/resources/read_problem.h"
#include "config/resources/resources.h"

namespace sockmesh::config {

// Labels of the objects that decide the policy of `proxy`, as ReadProblem::object has them: "Sidecar
// shop/own".
using PolicyObjects = std::set<std::string>;
PolicyObjects policy_objects(const Resources& resources, const ProxyIdentity& proxy);

struct Candidate {
  const Resources& resources;                // last good versions of broken objects included
  const std::vector<ReadProblem>& problems;  // each that left an object out, at least
  const std::string& unreadable;             // the first thing of which nobody knows what it holds; "": none
};

// Why it may not take the place of what is in force (nullptr: nothing is); "" when it may.
std::string refusal(const Candidate& candidate, const ProxyIdentity& proxy, const PolicyObjects* in_force);

}  // namespace sockmesh::config
