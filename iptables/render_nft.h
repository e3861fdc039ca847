// The same rules for `nft -f`: --native-nftables. Three tables of family inet that are ours alone,
// istio-proxy-nat, -mangle and -raw, with Istio's chain names (tools/istio-nftables). Pure.
#pragma once

#include <string>

#include "iptables/rules.h"

namespace sockmesh::iptables {

// Replaces whatever our tables hold by the plan's rules in one transaction. Where the plan has no IPv6 rules,
// the base chains look at IPv4 only, as with iptables.
std::string nft_script(const Plan& plan);

// Removes our tables, in one transaction, whether they exist or not.
std::string nft_removal();

// The rules in tables whose names begin with `prefix` and that no packet meets: what `nft list` prints of
// them is how this version of nft spells the plan.
std::string nft_unhooked_copy(const Plan& plan, const std::string& prefix);

// "istio-proxy-nat"
std::string nft_table_name(Table table, const std::string& prefix = "istio-proxy-");

}  // namespace sockmesh::iptables
