#include "golden_cases/golden_cases.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/strings.h"

namespace sockmesh::test {

namespace {

constexpr std::string_view kPrompt = "$ sockmesh-init";

std::string unquoted(std::string_view word) {
  const bool quoted = word.size() >= 2 && word.starts_with('\'') && word.ends_with('\'');
  return std::string(quoted ? word.substr(1, word.size() - 2) : word);
}

GoldenCase read_case(const std::filesystem::path& path) {
  std::ifstream in(path);
  GoldenCase read{.name = path.stem(), .path = path, .text = {std::istreambuf_iterator<char>(in), {}}};
  for (const std::string_view line : split(read.text, '\n')) {
    read.header += std::string(line) + "\n";
    if (line.starts_with("env ")) {
      const std::string_view setting = line.substr(4);
      const size_t equals = setting.find('=');
      read.environment[std::string(setting.substr(0, equals))] = setting.substr(equals + 1);
    }
    if (!line.starts_with(kPrompt)) continue;
    for (const std::string_view word : split(line.substr(kPrompt.size()), ' ', /*skip_empty=*/true))
      read.args.push_back(unquoted(word));
    return read;
  }
  throw std::runtime_error(path.string() + ": no line with the command");
}

}  // namespace

std::string golden_folder() { return GOLDEN_CASES_DIR; }

std::vector<GoldenCase> golden_cases() {
  std::vector<GoldenCase> cases;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder())) {
    if (entry.path().extension() == ".txt") cases.push_back(read_case(entry.path()));
  }
  std::sort(cases.begin(), cases.end(),
            [](const GoldenCase& a, const GoldenCase& b) { return a.name < b.name; });
  return cases;
}

}  // namespace sockmesh::test
