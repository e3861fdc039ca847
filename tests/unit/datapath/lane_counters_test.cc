#include "datapath/lane_counters.h"

#include <catch2/catch.hpp>
#include <optional>

using namespace sockmesh::datapath;
using sockmesh::model::BytesByLane;

TEST_CASE("a flow that changes lanes counts in each that it enters, and is in one") {
  LaneCounters counters;
  std::optional<CountedFlow> flow(counters);
  const auto active = [&](Lane lane) { return counters.stats().lanes[lane].flows_active; };
  const auto total = [&](Lane lane) { return counters.stats().lanes[lane].flows_total; };
  CHECK(counters.stats().flows_active == 1);
  for (const Lane lane : sockmesh::model::kLanes) CHECK(active(lane) == 0);
  flow->enter(Lane::kIoUring);
  CHECK(active(Lane::kIoUring) == 1);
  flow->enter(Lane::kSkSkb);
  CHECK(active(Lane::kIoUring) == 0);
  CHECK(active(Lane::kSkSkb) == 1);
  flow->refused_by(Lane::kSkSkb);
  flow->enter(Lane::kIoUring);
  flow.reset();
  for (const Lane lane : sockmesh::model::kLanes) CHECK(active(lane) == 0);
  CHECK(total(Lane::kIoUring) == 2);
  CHECK(total(Lane::kSkSkb) == 1);
  CHECK(counters.stats().lanes[Lane::kSkSkb].refused == 1);
  CHECK(counters.stats().flows_total == 1);
  CHECK(counters.stats().flows_active == 0);
}

TEST_CASE("bytes and counts of several workers are added up lane by lane") {
  LaneCounters first, second;
  BytesByLane moved;
  moved[Lane::kEpoll] = {1, 10};
  moved[Lane::kSkSkb] = {100, 1000};
  CHECK(moved.total().received == 101);
  CHECK(moved.total().sent == 1010);
  first.add_bytes(moved);
  second.add_bytes(moved);
  ++second.lanes[Lane::kSkSkb].stuck;
  LaneStats sum = first.stats();
  sum += second.stats();
  CHECK(sum.lanes[Lane::kEpoll].bytes == 22);
  CHECK(sum.lanes[Lane::kIoUring].bytes == 0);
  CHECK(sum.lanes[Lane::kSkSkb].bytes == 2200);
  CHECK(sum.lanes[Lane::kSkSkb].stuck == 1);
  CHECK(sum.lanes[Lane::kIoUring].stuck == 0);
}
