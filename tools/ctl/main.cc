// sockmeshctl: the real world for cli.h.
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include "ctl/agent_client.h"
#include "ctl/cli.h"

namespace {

using namespace sockmesh;

volatile std::sig_atomic_t interrupted = 0;

Result<std::string> read_file(const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(os_error("reading " + path));
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Sleeps at most as long as asked; a signal ends the sleep early.
bool pause_for(Duration duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
  timespec left{.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
  return ::nanosleep(&left, nullptr) == 0 && !interrupted;
}

}  // namespace

int main(int argc, char** argv) {
  // Without SA_RESTART, so that the signal ends a sleep.
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESETHAND;  // a second one ends the program
  ::sigaction(SIGINT, &action, nullptr);

  ctl::World world{
      .out = std::cout,
      .err = std::cerr,
      .env =
          [](const char* name) {
            const char* value = std::getenv(name);
            return std::string(value ? value : "");
          },
      .http = ctl::ask_agent,
      .read_file = read_file,
      .now = [] { return wall_now(); },
      .pause = pause_for,
  };
  return ctl::run({argv + 1, argv + argc}, world);
}
