// A golden case is a file in cases/: a command line of sockmesh-init and everything it prints.
//
//   What the case shows.                       any number of lines
//   env ISTIO_OUTBOUND_OWNER_GROUPS=mail,202   its environment, any number of lines
//   $ sockmesh-init --dry-run -b '*'           the command line; '' and '*' as in a shell
//   ...                                        what it prints
//   ! ...                                      what it prints to standard error
//   = 0                                        its exit status
//
// File names among the arguments are relative to cases/, where the test runs. SOCKMESH_UPDATE_GOLDEN=1
// rewrites them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace sockmesh::test {

struct GoldenCase {
  std::string name;  // the file's, without ".txt"
  std::string path;
  std::string text;    // the whole file
  std::string header;  // up to and with the command line
  std::vector<std::string> args;
  std::map<std::string, std::string> environment;
};

std::string golden_folder();

// All of them, by name. Throws std::runtime_error for a file that is none.
std::vector<GoldenCase> golden_cases();

}  // namespace sockmesh::test
