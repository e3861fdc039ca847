// Loads the BPF object and turns libbpf's and the kernel's refusals into errors that say what is missing.
#include "bpf/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>

#include "base/one_line.h"
#include "splice.skel.h"

namespace sockmesh::bpf {

namespace {

constexpr size_t kLogLimit = 600;  // bytes of libbpf's words that an error carries

// libbpf reports through one process-wide function; what it says belongs to whoever is loading in this
// thread.
thread_local std::string libbpf_said;

int keep_last_words(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  libbpf_said += line;
  // The verifier's verdict stands at the end of a log of any length.
  if (libbpf_said.size() > kLogLimit) libbpf_said.erase(0, libbpf_said.size() - kLogLimit);
  return 0;
}

std::string last_words() {
  const std::string said = one_line(libbpf_said);  // several, and an error is one
  return said.empty() ? "" : fmt::format(" ({})", said);
}

Error refusal(std::string_view what, int err) {
  Error error = os_error(what, err);
  if (err == EPERM || err == EACCES)
    error.message +=
        ": expected CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON in the initial user namespace (a user namespace's "
        "own capabilities do not count)";
  if (err == ESRCH || err == ENOENT)
    error.message += ": expected kernel type information, /sys/kernel/btf/vmlinux";
  if (err == EINVAL) error.message += ": expected Linux 6.1 or later";
  error.message += last_words();
  return error;
}

}  // namespace

struct SpliceProgram::Skeleton {
  explicit Skeleton(splice_bpf* loaded) : object(loaded) {}
  Skeleton(const Skeleton&) = delete;
  Skeleton& operator=(const Skeleton&) = delete;
  ~Skeleton() { splice_bpf::destroy(object); }

  splice_bpf* object;
  const char* attach_type = "";
};

SpliceProgram::SpliceProgram(std::unique_ptr<Skeleton> skeleton) : skeleton_(std::move(skeleton)) {}
SpliceProgram::SpliceProgram(SpliceProgram&&) noexcept = default;
SpliceProgram& SpliceProgram::operator=(SpliceProgram&&) noexcept = default;
SpliceProgram::~SpliceProgram() = default;

Result<SpliceProgram> SpliceProgram::load(uint32_t slots, Stall stall) {
  libbpf_set_print(keep_last_words);
  libbpf_said.clear();
  auto* object = splice_bpf::open(nullptr);
  if (!object) return fail(refusal("opening the splice program", errno));
  auto skeleton = std::make_unique<Skeleton>(object);

  object->rodata->slots = slots;
  object->rodata->stall_percent = stall.percent;
  object->rodata->stall_nanoseconds =
      static_cast<__u32>(std::clamp<Duration>(stall.longest, Duration{1}, kLongestStall).count());
  bpf_map__set_max_entries(object->maps.sockets, slots);
  bpf_map__set_max_entries(object->maps.directions, slots);
  bpf_map__set_max_entries(object->maps.flows, slots);
  if (const int err = splice_bpf::load(object)) return fail(refusal("loading the splice program", -err));

  const int program = bpf_program__fd(object->progs.splice_verdict);
  const int map = bpf_map__fd(object->maps.sockets);
  // The same code runs for both; the first exists since 5.13. A map's program is copied into each socket that
  // is put into the map afterwards.
  skeleton->attach_type = "SK_SKB_VERDICT";
  if (bpf_prog_attach(program, map, BPF_SK_SKB_VERDICT, 0) != 0) {
    skeleton->attach_type = "SK_SKB_STREAM_VERDICT";
    if (const int err = bpf_prog_attach(program, map, BPF_SK_SKB_STREAM_VERDICT, 0); err != 0)
      return fail(refusal("attaching the splice program to its sockmap", -err));
  }
  return SpliceProgram(std::move(skeleton));
}

int SpliceProgram::sockets_fd() const { return bpf_map__fd(skeleton_->object->maps.sockets); }
int SpliceProgram::directions_fd() const { return bpf_map__fd(skeleton_->object->maps.directions); }
int SpliceProgram::rings_fd() const { return bpf_map__fd(skeleton_->object->maps.rings); }
const char* SpliceProgram::attach_type() const { return skeleton_->attach_type; }
splice_control* SpliceProgram::control() const { return &skeleton_->object->bss->control; }

}  // namespace sockmesh::bpf
