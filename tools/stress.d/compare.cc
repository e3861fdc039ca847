#include "compare.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

namespace sockmesh::stress {

namespace {

class Complaint {
 public:
  void add(const std::string& one) { text_ += (text_.empty() ? "" : "; ") + one; }
  std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

void expect_equal(Complaint& wrong, std::string_view what, uint64_t have, uint64_t want) {
  if (have != want) wrong.add(fmt::format("{} {}, counted {}", what, have, want));
}

// Where a stream was cut by a reset, each hop may have got less than the one before, and nobody more.
void expect_falling(Complaint& wrong, std::string_view what, const std::array<uint64_t, 4>& hops) {
  for (size_t i = 1; i < hops.size(); ++i) {
    if (hops[i] <= hops[i - 1]) continue;
    return wrong.add(fmt::format("{}: the applications and the agents counted {}, {}, {}, {}", what, hops[0],
                                 hops[1], hops[2], hops[3]));
  }
}

void expect_flags(Complaint& wrong, std::string_view who, const std::string& flags, Close server) {
  const bool may = server != Close::kFin, must = server == Close::kReset;
  if (flags == "UR" ? may : flags == "-" && !must) return;
  wrong.add(fmt::format("{}: flags {}, expected {}", who, flags, must ? "UR" : "-"));
}

}  // namespace

std::string compare(const FlowPlan& plan, const Counted& counted, const LoggedFlow& outbound,
                    const LoggedFlow& inbound) {
  Complaint wrong;
  if (plan.resets()) {
    expect_falling(wrong, "up",
                   {counted.client_sent, outbound.received, inbound.received, counted.server_received});
    expect_falling(wrong, "down",
                   {counted.server_sent, inbound.sent, outbound.sent, counted.client_received});
  } else {
    expect_equal(wrong, "client's agent: BYTES_RECEIVED", outbound.received, counted.client_sent);
    expect_equal(wrong, "client's agent: BYTES_SENT", outbound.sent, counted.server_sent);
    expect_equal(wrong, "server's agent: BYTES_RECEIVED", inbound.received, counted.client_sent);
    expect_equal(wrong, "server's agent: BYTES_SENT", inbound.sent, counted.server_sent);
  }
  expect_flags(wrong, "client's agent", outbound.flags, plan.server.close);
  expect_flags(wrong, "server's agent", inbound.flags, plan.server.close);
  return std::move(wrong).text();
}

}  // namespace sockmesh::stress
