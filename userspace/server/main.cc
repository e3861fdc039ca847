// sockmesh-agent: see server.cc for what happens from here on.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "server/options.h"
#include "server/server.h"

int main(int argc, char** argv) {
  const auto parsed = sockmesh::server::parse_options(
      {argv + 1, argv + argc}, [](const char* name) { return std::getenv(name); },
      std::thread::hardware_concurrency());
  if (!parsed.options) {
    std::fputs(parsed.text.c_str(), parsed.exit_code == 0 ? stdout : stderr);
    return parsed.exit_code;
  }
  return sockmesh::server::run(*parsed.options);
}
