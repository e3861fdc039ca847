#include "commotion.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "ctl/agent_client.h"

namespace sockmesh::stress {

Commotion::Commotion(World& world, uint64_t seed, Lanes lanes)
    : world_(world), random_(seed), lanes_(lanes), thread_([this] { run(); }) {}

Commotion::~Commotion() {
  stop_ = true;
  thread_.join();
  for (size_t agent = 0; lanes_ != Lanes::kNone && agent < 2; ++agent)
    ask(agent, "POST", "/v1/splice?enabled=true");
  if (lanes_ == Lanes::kSpliceAndDirect) ask(0, "POST", "/v1/direct?enabled=true");
}

void Commotion::ask(size_t agent, const std::string& method, const std::string& target) {
  // An agent that does not answer is noticed by everything else.
  (void)ctl::ask_agent(world_.agents()[agent]->run_dir(), method, target);
}

std::pair<size_t, std::string> Commotion::pick_lane() {
  if (lanes_ == Lanes::kSpliceAndDirect && random_.below(2) == 0) return {0, "/v1/direct"};
  return {random_.below(2), "/v1/splice"};
}

void Commotion::run() {
  const auto pause = [&](uint64_t least, uint64_t most) {
    if (!stop_) std::this_thread::sleep_for(std::chrono::milliseconds(random_.about(least, most)));
  };
  while (!stop_) {
    pause(20, 400);
    const size_t agent = random_.below(2);
    const uint64_t what = random_.below(100);
    if (what < 70 && lanes_ != Lanes::kNone) {
      const auto [whose, lane] = pick_lane();
      ask(whose, "POST", lane + "?enabled=false");
      pause(1, 60);
      ask(whose, "POST", lane + "?enabled=true");
      switches_ += 2;
    } else if (what < 90) {
      world_.change_configuration(random_.next());
      ++changes_;
    } else {
      ask(agent, "GET", what < 95 ? "/v1/flows" : "/v1/status");
    }
  }
}

Load::Load(unsigned processes) {
  for (unsigned i = 0; i < processes; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (std::atomic<uint64_t> spins{0};;) spins.fetch_add(1, std::memory_order_relaxed);
    }
    if (pid > 0) pids_.push_back(pid);
  }
}

Load::~Load() {
  for (const pid_t pid : pids_) kill(pid, SIGKILL);
  for (const pid_t pid : pids_) waitpid(pid, nullptr, 0);
}

}  // namespace sockmesh::stress
