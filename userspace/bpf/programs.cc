// Loads the BPF object and attaches its program.
#include "bpf/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>

#include "bpf/libbpf_errors.h"
#include "splice.skel.h"

namespace sockmesh::bpf {

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
  listen_to_libbpf();
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
