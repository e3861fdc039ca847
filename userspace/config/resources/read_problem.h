// What is wrong with a text of manifests, as whoever wrote it is told. Plain values, any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sockmesh::config {

inline constexpr size_t kMaxProblems = 1000;  // kept of one reading; the others are counted

struct ReadProblem {
  std::string file;
  int line = 0;
  std::string object;  // "VirtualService default/echo", "" when not known yet
  std::string field;   // "spec.tcp[0].route[1].weight"
  std::string text;    // quotes the bad value, says what was expected
  bool object_dropped = false;
  // "routes.yaml:12: VirtualService default/echo: spec...: '...': expected ... (object left out)": one line
  // of at most 1000 bytes, whatever the file is called.
  std::string to_string() const;
  bool operator==(const ReadProblem&) const = default;
};

// The first kMaxProblems, and how many there were.
struct ProblemList {
  std::vector<ReadProblem> first;
  size_t count = 0;

  bool add(ReadProblem problem);  // whether it is among the first
  void add_all(const ProblemList& others);
};

}  // namespace sockmesh::config
