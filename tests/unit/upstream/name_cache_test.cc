#include "upstream/name_cache.h"

#include <catch2/catch.hpp>

#include "base/strings.h"

using namespace sockmesh;
using namespace sockmesh::upstream;
using namespace std::chrono_literals;

namespace {

using enum FamilyLookup::Outcome;

std::vector<IpAddress> list(const std::string& text) {
  std::vector<IpAddress> addresses;
  for (const std::string_view one : split(text, ' ', true))
    addresses.push_back(IpAddress::parse(one).value());
  return addresses;
}

std::string text(const std::vector<IpAddress>& addresses) {
  std::string joined;
  for (const IpAddress& ip : addresses) joined += (joined.empty() ? "" : " ") + ip.to_string();
  return joined;
}

// "-" not asked, "..." pending, "0" empty, "!" failed, else addresses.
FamilyLookup family(const std::string& what) {
  FamilyLookup made;
  made.outcome = what == "-"     ? kNotAsked
                 : what == "..." ? kPending
                 : what == "0"   ? kEmpty
                 : what == "!"   ? kFailed
                                 : kAddresses;
  if (made.outcome == kAddresses) made.addresses = list(what);
  if (made.outcome == kEmpty) made.error = "not found";
  if (made.outcome == kFailed) made.error = "timeout";
  return made;
}

const MonotonicTime kThen{100s}, kNow{200s};

}  // namespace

TEST_CASE("what a lookup makes of what was known") {
  const struct {
    std::string before, v4, v6, addresses, last;
    NameState state;
    std::string error;
  } rows[] = {
      // One family.
      {"", "1.1.1.1 1.1.1.2", "-", "1.1.1.1 1.1.1.2", "1.1.1.1 1.1.1.2", NameState::kAnswered, ""},
      {"1.1.1.1", "0", "-", "", "1.1.1.1", NameState::kEmpty, "A: not found"},
      {"1.1.1.1", "!", "-", "1.1.1.1", "1.1.1.1", NameState::kFailing, "A: timeout"},
      {"", "!", "-", "", "", NameState::kFailing, "A: timeout"},
      {"", "0", "-", "", "", NameState::kEmpty, "A: not found"},
      {"", "-", "fd00::1", "fd00::1", "fd00::1", NameState::kAnswered, ""},
      // Both answered.
      {"", "1.1.1.1", "fd00::1", "1.1.1.1 fd00::1", "1.1.1.1 fd00::1", NameState::kAnswered, ""},
      {"1.1.1.1 fd00::1", "1.1.1.1", "0", "1.1.1.1", "1.1.1.1", NameState::kAnswered, ""},
      {"1.1.1.1 fd00::1", "0", "fd00::2", "fd00::2", "fd00::2", NameState::kAnswered, ""},
      {"1.1.1.1 fd00::1", "0", "0", "", "1.1.1.1 fd00::1", NameState::kEmpty, "not found"},
      // One failed: its addresses stay, the other's are what was answered.
      {"1.1.1.1 fd00::1", "1.1.1.2", "!", "1.1.1.2 fd00::1", "1.1.1.2 fd00::1", NameState::kAnswered,
       "AAAA: timeout"},
      {"1.1.1.1 fd00::1", "!", "fd00::2", "1.1.1.1 fd00::2", "1.1.1.1 fd00::2", NameState::kAnswered,
       "A: timeout"},
      {"1.1.1.1 fd00::1", "0", "!", "fd00::1", "fd00::1", NameState::kFailing, "AAAA: timeout"},
      {"1.1.1.1", "0", "!", "", "1.1.1.1", NameState::kFailing, "AAAA: timeout"},
      {"1.1.1.1 fd00::1", "!", "!", "1.1.1.1 fd00::1", "1.1.1.1 fd00::1", NameState::kFailing, "timeout"},
      // The pod has lost a family.
      {"1.1.1.1 fd00::1", "1.1.1.1", "-", "1.1.1.1", "1.1.1.1", NameState::kAnswered, ""},
      // One is not answered yet: nobody waits for it, nothing is lost to it.
      {"1.1.1.1 fd00::1", "1.1.1.2", "...", "1.1.1.2 fd00::1", "1.1.1.2 fd00::1", NameState::kPending, ""},
      {"", "...", "fd00::1", "fd00::1", "fd00::1", NameState::kPending, ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.before, row.v4, row.v6);
    NameAnswer before;
    before.addresses = before.last_addresses = list(row.before);
    before.answered = kThen;
    const NameAnswer next = after(before, {family(row.v4), family(row.v6)}, kNow);
    CHECK(text(next.addresses) == row.addresses);
    CHECK(text(next.last_addresses) == row.last);
    CHECK(next.state == row.state);
    CHECK(next.error == row.error);
    const bool ended = row.state != NameState::kPending;
    const bool answer = ended && row.state != NameState::kFailing;
    CHECK(next.answered == (answer ? kNow : kThen));
    CHECK(next.attempts == (ended ? 1u : 0u));
    CHECK(next.with_addresses == (row.state == NameState::kAnswered ? 1u : 0u));
    CHECK(next.empties == (row.state == NameState::kEmpty ? 1u : 0u));
    CHECK(next.failures == (row.state == NameState::kFailing ? 1u : 0u));
    CHECK(next.in_vain == next.empties + next.failures);
  }
}

TEST_CASE("lookups in vain are counted until there are addresses again") {
  NameAnswer answer;
  for (int i = 0; i < 3; ++i) answer = after(answer, {family("!"), {}}, kNow);
  answer = after(answer, {family("0"), {}}, kNow);
  CHECK(answer.in_vain == 4);
  answer = after(answer, {family("1.1.1.1"), {}}, kNow);
  CHECK(answer.in_vain == 0);
  CHECK(answer.attempts == 5);
}

TEST_CASE("the version moves with what those who dial can see") {
  NameCache names;
  const auto moves = [&](const char* v4, const char* v6) {
    const uint64_t before = names.version();
    names.looked_up("db.example.com", {family(v4), family(v6)}, kNow);
    return names.version() != before;
  };
  CHECK(names.find("db.example.com") == nullptr);
  CHECK(moves("!", "-"));  // who waited for the first lookup need not wait any longer
  CHECK_FALSE(moves("!", "-"));
  CHECK(moves("1.1.1.1", "..."));
  CHECK_FALSE(moves("1.1.1.1", "!"));
  CHECK_FALSE(moves("!", "!"));
  CHECK(moves("0", "0"));
  CHECK(names.find("db.example.com")->state == NameState::kEmpty);
  names.keep_only({});
  CHECK(names.find("db.example.com") == nullptr);
}
