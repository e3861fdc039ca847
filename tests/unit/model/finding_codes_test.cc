// The one table of findings, against the sources that find them and the README that shows it.
#include "model/finding_codes.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "model/findings.h"

using namespace sockmesh::model;

namespace {

namespace fs = std::filesystem;

const fs::path kSources = SOURCE_FOLDER;

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  REQUIRE(file.is_open());
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("codes are sorted, and found by their name alone") {
  const auto all = finding_codes();
  CHECK(
      std::is_sorted(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.code <= b.code; }));
  for (const FindingCode& row : all) {
    CHECK(find_finding_code(row.code) == &row);
    CHECK_FALSE(row.meaning.empty());
    CHECK_FALSE(row.cure.empty());
  }
  for (const char* nobodys : {"", "IST0100", "SM0001x", "ZZ"}) CHECK(find_finding_code(nobodys) == nullptr);
  CHECK(make_finding("SM0101", nullptr, "t").severity == Severity::kError);
}

TEST_CASE("every code that is found has a row, and every row is found by somebody") {
  const std::regex literal("\"((?:IST|SM)[0-9]{4})\"");
  std::set<std::string> used;
  for (const auto& entry : fs::recursive_directory_iterator(kSources / "userspace")) {
    if (entry.path().extension() != ".cc" || entry.path().filename() == "finding_codes.cc") continue;
    const std::string text = text_of(entry.path());
    for (auto at = std::sregex_iterator(text.begin(), text.end(), literal); at != std::sregex_iterator();
         ++at)
      used.insert((*at)[1]);
  }
  std::set<std::string> told;
  for (const FindingCode& row : finding_codes()) told.emplace(row.code);
  CHECK(used == told);
}

TEST_CASE("the README shows the table of findings") {
  std::string table = "| code | level | what | cure |\n|---|---|---|---|\n";
  for (const FindingCode& row : finding_codes())
    table += fmt::format("| {} | {} | {} | {} |\n", row.code, to_string(row.severity), row.meaning, row.cure);
  INFO(table);
  CHECK(text_of(kSources / "userspace/config/README.md").find(table) != std::string::npos);
}
