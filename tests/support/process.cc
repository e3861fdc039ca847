#include "test_support/process.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "base/fd.h"
#include "test_support/eventually.h"
#include "test_support/netns.h"
#include "test_support/temp_dir.h"

namespace sockmesh::test {
namespace {

// A vector of C strings that ends in null, pointing into `strings`.
std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> list;
  for (std::string& text : strings) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& additions) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    if (!additions.contains(std::string(text.substr(0, text.find('='))))) all.emplace_back(text);
  }
  for (const auto& [name, value] : additions) all.push_back(name + "=" + value);
  return all;
}

}  // namespace

Result<Process> Process::start(const ProcessOptions& options) {
  Process process;
  process.output_ = options.output;
  process.own_output_ = options.output.empty();
  Fd out;
  if (process.own_output_) {
    process.output_ = temporary("sockmesh-test-output-XXXXXX");
    out = Fd(mkostemp(process.output_.data(), O_CLOEXEC));
  } else {
    out = Fd(open(process.output_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  }
  if (!out) return fail(os_error("open " + process.output_));
  const Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));

  // Everything the child needs is made here: between fork and exec it may only make system calls.
  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> environment = environment_with(options.env);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);
  const int netns = options.netns ? options.netns->fd() : -1;

  const pid_t pid = fork();
  if (pid < 0) return fail(os_error("fork"));
  if (pid == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    dup2(null.get(), STDIN_FILENO);
    dup2(out.get(), STDOUT_FILENO);
    dup2(out.get(), STDERR_FILENO);
    if (netns >= 0 && setns(netns, CLONE_NEWNET) != 0) _exit(126);
    if (options.uid) {
      if (setgroups(0, nullptr) != 0 || setgid(*options.uid) != 0 || setuid(*options.uid) != 0) _exit(126);
    }
    execvpe(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  process.pid_ = pid;
  return process;
}

Process::Process(Process&& other) noexcept { *this = std::move(other); }

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    release();
    pid_ = std::exchange(other.pid_, -1);
    status_ = std::exchange(other.status_, std::nullopt);
    output_ = std::exchange(other.output_, {});
    own_output_ = std::exchange(other.own_output_, false);
  }
  return *this;
}

Process::~Process() { release(); }

void Process::release() {
  kill();
  if (own_output_) unlink(output_.c_str());
}

bool Process::running() {
  if (pid_ < 0 || status_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return false;
}

void Process::signal(int number) const {
  if (pid_ > 0 && !status_) ::kill(pid_, number);
}

Result<int> Process::wait(std::chrono::milliseconds deadline) {
  if (!eventually([this] { return !running(); }, deadline)) {
    return fail("process {} still runs after {} ms", pid_, patient(deadline).count());
  }
  return status_.value_or(-1);
}

int Process::stop(std::chrono::milliseconds deadline) {
  if (pid_ < 0) return -1;
  signal(SIGTERM);
  (void)wait(deadline);
  kill();
  return status_.value_or(-1);
}

void Process::kill() {
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  (void)eventually([this] { return !running(); });
}

std::string Process::output() const { return read_text(output_); }

CommandResult run(const ProcessOptions& options, std::chrono::milliseconds deadline) {
  auto process = Process::start(options);
  if (!process) throw std::runtime_error(process.error().message);
  const auto status = process->wait(deadline);
  if (!status)
    throw std::runtime_error(options.argv[0] + ": " + status.error().message + "\n" + process->output());
  return {*status, process->output()};
}

std::string must_run(const std::vector<std::string>& argv, const Netns* netns) {
  const CommandResult result = run({.argv = argv, .netns = netns});
  if (result.status != 0) {
    std::string command;
    for (const std::string& argument : argv) command += argument + " ";
    throw std::runtime_error(fmt::format("{}: exit status {}\n{}", command, result.status, result.output));
  }
  return result.output;
}

std::string built_program(const std::string& name) {
  if (const char* folder = std::getenv("SOCKMESH_BIN")) return std::string(folder) + "/" + name;
  for (auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
       folder.has_relative_path(); folder = folder.parent_path()) {
    if (std::filesystem::exists(folder / "bin" / name)) return (folder / "bin" / name).string();
  }
  throw std::runtime_error("no bin/" + name + " in this build; set SOCKMESH_BIN");
}

}  // namespace sockmesh::test
