#include "iptables/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "base/clock.h"
#include "base/fd.h"

extern char** environ;

namespace sockmesh::iptables {

namespace {

constexpr size_t kMaxOutputBytes = 16 << 20;
constexpr auto kTimeLimit = std::chrono::seconds(90);
constexpr int kCouldNotStart = 127;

struct Pipe {
  Fd read, write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return fail(os_error("pipe"));
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) all.emplace_back(*entry);
  for (const std::string& setting : extra) {
    const std::string name = setting.substr(0, setting.find('=') + 1);
    std::erase_if(all, [&](const std::string& have) { return have.starts_with(name); });
    all.push_back(setting);
  }
  return all;
}

// In the child, between fork and exec: only system calls.
[[noreturn]] void become(char* const* argv, char* const* envp, int in, int out, int err, int user_namespace) {
  if (user_namespace >= 0) {
    // Its root: as anybody else, the capabilities setns gives would not outlive the exec.
    const bool entered = setns(user_namespace, CLONE_NEWUSER) == 0 && syscall(SYS_setresgid, 0, 0, 0) == 0 &&
                         syscall(SYS_setresuid, 0, 0, 0) == 0;
    if (!entered) _exit(kCouldNotStart);
  }
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);
  execvpe(argv[0], argv, envp);
  const char* why = errno == ENOENT ? ": not found\n" : ": cannot be started\n";
  (void)!write(STDERR_FILENO, argv[0], std::char_traits<char>::length(argv[0]));
  (void)!write(STDERR_FILENO, why, std::char_traits<char>::length(why));
  _exit(kCouldNotStart);
}

// Moves bytes until the child has closed its output.
Result<void> converse(Pipe& in, Pipe& out, Pipe& err, std::string_view input, Outcome& outcome,
                      MonotonicTime deadline) {
  fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  while (out.read || err.read) {
    if (input.empty()) in.write.reset();
    pollfd fds[] = {{in.write.get(), POLLOUT, 0}, {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - monotonic_now());
    const int ready = left.count() <= 0 ? 0 : poll(fds, 3, static_cast<int>(left.count()));
    if (ready == 0) return fail("ran longer than {} seconds", kTimeLimit.count());
    if (ready < 0 && errno != EINTR) return fail(os_error("poll"));
    if (ready < 0) continue;
    if (fds[0].revents) {
      // A child that does not read its input gives EPIPE; its exit status tells the rest.
      const ssize_t n = write(in.write.get(), input.data(), input.size());
      if (n > 0)
        input.remove_prefix(static_cast<size_t>(n));
      else if (errno != EAGAIN && errno != EINTR)
        input = {};
    }
    const auto drain = [](Fd& fd, short events, std::string& into) {
      if (!events) return;
      char buffer[16384];
      const ssize_t n = read(fd.get(), buffer, sizeof buffer);
      if (n > 0)
        into.append(buffer, static_cast<size_t>(n));
      else if (n == 0 || errno != EINTR)
        fd.reset();
    };
    drain(out.read, fds[1].revents, outcome.output);
    drain(err.read, fds[2].revents, outcome.errors);
    if (outcome.output.size() + outcome.errors.size() > kMaxOutputBytes)
      return fail("printed more than {} bytes", kMaxOutputBytes);
  }
  return {};
}

// A child that does not read its input must not kill the caller; SIGPIPE is blocked for this thread and taken
// back.
class PipeSignalBlocked {
 public:
  PipeSignalBlocked() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  PipeSignalBlocked(const PipeSignalBlocked&) = delete;
  PipeSignalBlocked& operator=(const PipeSignalBlocked&) = delete;
  ~PipeSignalBlocked() {
    const timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  const sigset_t& before() const { return before_; }

 private:
  sigset_t pipe_, before_;
};

}  // namespace

Result<Outcome> run_program(const Invocation& invocation) {
  SOCKMESH_TRY(in, make_pipe());
  SOCKMESH_TRY(out, make_pipe());
  SOCKMESH_TRY(err, make_pipe());
  const std::vector<std::string> environment = merged_environment(invocation.environment);
  const auto argv = pointers(invocation.argv);
  const auto envp = pointers(environment);
  const PipeSignalBlocked no_sigpipe;

  const pid_t child = fork();
  if (child < 0) return fail(os_error("starting " + invocation.argv[0]));
  if (child == 0) {
    sigprocmask(SIG_SETMASK, &no_sigpipe.before(), nullptr);
    become(argv.data(), envp.data(), in.read.get(), out.write.get(), err.write.get(),
           invocation.user_namespace);
  }
  in.read.reset();
  out.write.reset();
  err.write.reset();

  Outcome outcome;
  const auto talked = converse(in, out, err, invocation.input, outcome, monotonic_now() + kTimeLimit);
  if (!talked) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!talked) return fail(talked.error().within(invocation.argv[0]));
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

}  // namespace sockmesh::iptables
