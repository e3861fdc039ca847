// How flows end: what is passed on, what is flushed first, and how each socket is closed.
#include "datapath/flow_ends.h"

#include <catch2/catch.hpp>

namespace sockmesh::datapath {

namespace {
constexpr Side kSides[] = {Side::kDownstream, Side::kUpstream};
}

TEST_CASE("FIN both ways, each passed on, finishes a flow") {
  const Side first = GENERATE(from_range(std::begin(kSides), std::end(kSides)));
  FlowEnds ends;
  CHECK(ends.reads(first));
  ends.end(first);
  CHECK_FALSE(ends.reads(first));
  CHECK(ends.moves(first));
  CHECK(ends.half_closed());
  ends.pass_on(first);
  CHECK_FALSE(ends.moves(first));
  CHECK_FALSE(ends.over());
  CHECK(ends.reads(other(first)));
  ends.end(other(first));
  CHECK_FALSE(ends.over());
  ends.pass_on(other(first));
  REQUIRE(ends.over());
  CHECK(ends.reason() == CloseReason::kFinished);
  CHECK(ends.closing(Side::kDownstream) == Closing::kOrderly);
  CHECK(ends.closing(Side::kUpstream) == Closing::kOrderly);
}

TEST_CASE("an RST is passed on at once, whatever waits") {
  const Side side = GENERATE(from_range(std::begin(kSides), std::end(kSides)));
  const bool holding = GENERATE(true, false);
  FlowEnds ends;
  ends.fail(side, holding, "Connection reset by peer");
  REQUIRE(ends.over());
  CHECK(ends.reason() ==
        (side == Side::kDownstream ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
  CHECK(ends.error() == "Connection reset by peer");
  CHECK(ends.closing(side) == Closing::kReset);
  CHECK(ends.closing(other(side)) == Closing::kResetOnceDelivered);
}

TEST_CASE("what a side sent before its FIN is delivered, although it is reset afterwards") {
  const Side side = GENERATE(from_range(std::begin(kSides), std::end(kSides)));
  FlowEnds ends;
  ends.end(side);
  ends.fail(side, true, "Broken pipe");
  REQUIRE_FALSE(ends.over());
  CHECK(ends.failed(side));
  CHECK(ends.moves(side));
  CHECK_FALSE(ends.moves(other(side)));
  CHECK_FALSE(ends.reads(other(side)));

  SECTION("and the other side takes it") {
    ends.pass_on(side);
    REQUIRE(ends.over());
    CHECK(ends.closing(other(side)) == Closing::kResetUnlessPending);
  }
  SECTION("unless the other side fails as well") {
    ends.fail(other(side), false, "Connection reset by peer");
    REQUIRE(ends.over());
    CHECK(ends.closing(other(side)) == Closing::kReset);
  }
  SECTION("or it takes too long") {
    ends.stop(CloseReason::kIdleTimeout, true);
    REQUIRE(ends.over());
    CHECK(ends.closing(other(side)) == Closing::kReset);
  }
  CHECK(ends.reason() ==
        (side == Side::kDownstream ? CloseReason::kDownstreamReset : CloseReason::kUpstreamReset));
  CHECK(ends.error() == "Broken pipe");
}

TEST_CASE("a FIN that was passed on leaves nothing to flush") {
  FlowEnds ends;
  ends.end(Side::kDownstream);
  ends.pass_on(Side::kDownstream);
  ends.fail(Side::kDownstream, false, "Broken pipe");
  REQUIRE(ends.over());
  CHECK(ends.closing(Side::kUpstream) == Closing::kResetUnlessPending);
}

TEST_CASE("a timeout says FIN only when nothing is withheld") {
  FlowEnds silent, holding, aborted;
  silent.stop(CloseReason::kIdleTimeout, false);
  CHECK(silent.closing(Side::kUpstream) == Closing::kOrderly);
  holding.stop(CloseReason::kMaxDuration, true);
  CHECK(holding.closing(Side::kUpstream) == Closing::kReset);
  CHECK(holding.reason() == CloseReason::kMaxDuration);
  aborted.stop(CloseReason::kAborted, false);
  CHECK(aborted.closing(Side::kDownstream) == Closing::kReset);
  // The first reason stays.
  aborted.stop(CloseReason::kIdleTimeout, false);
  CHECK(aborted.reason() == CloseReason::kAborted);
}

}  // namespace sockmesh::datapath
