// The layout of lane 3's maps and records. Maps outlive processes: a change here has to count DIRECT_LAYOUT
// on, so the numbers below belong to the one that stands first.
#include <catch2/catch.hpp>
#include <cstddef>

#include "intf/direct.h"

static_assert(DIRECT_LAYOUT == 2);

static_assert(sizeof(direct_address) == 20);
static_assert(offsetof(direct_address, port) == 16);

static_assert(sizeof(direct_destination) == 20);
static_assert(offsetof(direct_destination, port) == 16);
static_assert(offsetof(direct_destination, side) == 18);

static_assert(sizeof(direct_prefix) == 24);
static_assert(offsetof(direct_prefix, side) == 4, "what the trie compares begins behind the length");
static_assert(offsetof(direct_prefix, family) == 5);
static_assert(offsetof(direct_prefix, port) == 6);
static_assert(offsetof(direct_prefix, ip) == 4 + DIRECT_PREFIX_BITS / 8);

static_assert(sizeof(direct_verdict) == 8);
static_assert(offsetof(direct_verdict, error) == 2);
static_assert(offsetof(direct_verdict, route) == 4);

static_assert(sizeof(direct_number) == 8);
static_assert(sizeof(direct_choice) == 8);
static_assert(sizeof(direct_route) == 8 + 8 * DIRECT_MAX_CHOICES);
static_assert(offsetof(direct_route, total_weight) == 4);
static_assert(offsetof(direct_route, choice) == 8);

static_assert(sizeof(direct_cluster) == 32);
static_assert(offsetof(direct_cluster, flags) == 1);
static_assert(offsetof(direct_cluster, hosts) == 4);
static_assert(offsetof(direct_cluster, total_weight) == 8);
static_assert(offsetof(direct_cluster, stride) == 12);
static_assert(offsetof(direct_cluster, start) == 16);
static_assert(offsetof(direct_cluster, max_connections) == 20);
static_assert(offsetof(direct_cluster, live) == 24);
static_assert(offsetof(direct_cluster, connect_timeout_ms) == 28);

static_assert(sizeof(direct_host_key) == 12);
static_assert(offsetof(direct_host_key, cluster) == 4);
static_assert(offsetof(direct_host_key, index) == 8);

static_assert(sizeof(direct_host) == 32);
static_assert(offsetof(direct_host, weight) == 20);
static_assert(offsetof(direct_host, weight_end) == 24);
static_assert(offsetof(direct_host, live) == 28);

static_assert(sizeof(direct_live) == 16,
              "an array's elements are multiples of 8 bytes: what is mapped is an array of these");
static_assert(offsetof(direct_live, drawn) == 4);
static_assert(offsetof(direct_live, proxied) == 8);

static_assert(sizeof(direct_flow) == 96);
static_assert(offsetof(direct_flow, generation) == 8);
static_assert(offsetof(direct_flow, connect_ns) == 16);
static_assert(offsetof(direct_flow, established_ns) == 24);
static_assert(offsetof(direct_flow, route) == 32);
static_assert(offsetof(direct_flow, cluster) == 36);
static_assert(offsetof(direct_flow, cluster_live) == 40);
static_assert(offsetof(direct_flow, host_live) == 44);
static_assert(offsetof(direct_flow, asked) == 48);
static_assert(offsetof(direct_flow, old_mark) == 68);
static_assert(offsetof(direct_flow, mark) == 72);
static_assert(offsetof(direct_flow, mark_mask) == 76);
static_assert(offsetof(direct_flow, old_timeout) == 80);
static_assert(offsetof(direct_flow, timeout) == 84);
static_assert(offsetof(direct_flow, phase) == 88);
static_assert(offsetof(direct_flow, first_step) == 89);
static_assert(offsetof(direct_flow, ipv6) == 90);

static_assert(sizeof(direct_reading) == 96);
static_assert(offsetof(direct_reading, bytes_acked) == 16);
static_assert(offsetof(direct_reading, bytes_received) == 24);
static_assert(offsetof(direct_reading, srtt_us) == 32);
static_assert(offsetof(direct_reading, in_flight) == 40);
static_assert(offsetof(direct_reading, error) == 44);
static_assert(offsetof(direct_reading, state) == 48);
static_assert(offsetof(direct_reading, local) == 52);
static_assert(offsetof(direct_reading, remote) == 72);

static_assert(sizeof(direct_record) == 200);
static_assert(offsetof(direct_record, flow) == 8);
static_assert(offsetof(direct_record, reading) == 104);

static_assert(DIRECT_COUNTS == 18, "new counts go to the end, and are a new layout");
static_assert(sizeof(direct_control) == 48 + 8 * DIRECT_COUNTS);
static_assert(offsetof(direct_control, layout) == 0, "in every layout: it is what the others are known by");
static_assert(offsetof(direct_control, enabled) == 4);
static_assert(offsetof(direct_control, active) == 8);
static_assert(offsetof(direct_control, mark) == 12);
static_assert(offsetof(direct_control, uid) == 20);
static_assert(offsetof(direct_control, generation) == 32);
static_assert(offsetof(direct_control, counts) == 48);

TEST_CASE("the search among weights reaches every host of the largest cluster") {
  CHECK((1u << DIRECT_SEARCH_STEPS) >= DIRECT_MAX_HOSTS);
}

TEST_CASE("a side is one bit, so that a program masks it") {
  CHECK((DIRECT_SIDES & (DIRECT_SIDES - 1)) == 0);
}
