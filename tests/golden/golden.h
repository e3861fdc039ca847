// Expected output kept in files: a test compares what the code prints now with what was agreed on. After a
// change that is meant, SOCKMESH_UPDATE_GOLDEN=1 rewrites the files, and the difference is read in review.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <string>

namespace sockmesh {

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Compares with the file at `path`; the whole text is shown when it differs.
inline void check_golden(const std::string& path, const std::string& actual) {
  if (std::getenv("SOCKMESH_UPDATE_GOLDEN")) {
    std::ofstream(path, std::ios::binary) << actual;
    return;
  }
  INFO("expected: " << path << " (SOCKMESH_UPDATE_GOLDEN=1 rewrites it)");
  CHECK(actual == read_text(path));
}

}  // namespace sockmesh
