// Pins are made by hand and not by libbpf, since their order matters: a process can be killed between two.
#include "bpf/direct_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "bpf/direct_pins.h"
#include "bpf/libbpf_errors.h"
#include "direct.skel.h"
#include "intf/direct.h"

namespace sockmesh::bpf {

struct DirectProgram::Skeleton {
  struct Link {
    const char* name;  // of its pin
    bpf_program* program;
    bpf_attach_type type;
    Fd fd;
  };

  Skeleton(direct_bpf* opened, std::string pins) : object(opened), folder(std::move(pins)) {
    const auto& programs = object->progs;
    links = {{{kLinkPins[0], programs.direct_sockops, BPF_CGROUP_SOCK_OPS, {}},
              {kLinkPins[1], programs.direct_getpeername4, BPF_CGROUP_INET4_GETPEERNAME, {}},
              {kLinkPins[2], programs.direct_getpeername6, BPF_CGROUP_INET6_GETPEERNAME, {}},
              {kLinkPins[3], programs.direct_connect4, BPF_CGROUP_INET4_CONNECT, {}},
              {kLinkPins[4], programs.direct_connect6, BPF_CGROUP_INET6_CONNECT, {}}}};
  }
  Skeleton(const Skeleton&) = delete;
  Skeleton& operator=(const Skeleton&) = delete;
  ~Skeleton() {
    // Backwards: nothing is led anywhere while what follows it is gone.
    std::ranges::for_each(links.rbegin(), links.rend(), [](Link& link) { link.fd.reset(); });
    bpf_link__destroy(open_flows);
    direct_bpf::destroy(object);
  }

  // In the order of kOtherMapPins.
  std::array<bpf_map*, 8> other_maps() const {
    const auto& maps = object->maps;
    return {maps.destinations, maps.prefixes, maps.routes, maps.clusters,
            maps.hosts,        maps.live,     maps.flows,  maps.events};
  }
  std::string pin(const char* name) const { return direct_pin(folder, name); }

  Result<void> adopt(int control);
  Result<void> pin_maps();
  Result<void> attach(Link& link, int cgroup, uint64_t cgroup_id, const std::string& path);
  Result<void> create(Link& link, int cgroup, const std::string& path);

  direct_bpf* object;
  std::string folder;
  bool adopted = false;
  bpf_link* open_flows = nullptr;
  std::array<Link, 5> links;
};

namespace {

void set_sizes(const direct_bpf& object, const DirectProgram::Sizes& sizes) {
  bpf_map__set_max_entries(object.maps.destinations, sizes.destinations * DIRECT_SIDES);
  bpf_map__set_max_entries(object.maps.prefixes, sizes.prefixes * DIRECT_SIDES);
  bpf_map__set_max_entries(object.maps.routes, sizes.routes * DIRECT_SIDES);
  bpf_map__set_max_entries(object.maps.clusters, sizes.clusters * DIRECT_SIDES);
  bpf_map__set_max_entries(object.maps.hosts, sizes.hosts * DIRECT_SIDES);
  bpf_map__set_max_entries(object.maps.live, sizes.live);
  bpf_map__set_max_entries(object.maps.events, sizes.event_bytes);
}

Result<bpf_link_info> info_of(int link, const std::string& name) {
  bpf_link_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(link, &info, &size) != 0) return fail(os_error("asking about link " + name));
  return info;
}

Result<uint32_t> id_of(int program) {
  bpf_prog_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(program, &info, &size) != 0) return fail(os_error("asking about a BPF program"));
  return info.id;
}

}  // namespace

DirectProgram::DirectProgram(std::unique_ptr<Skeleton> skeleton) : skeleton_(std::move(skeleton)) {}
DirectProgram::DirectProgram(DirectProgram&&) noexcept = default;
DirectProgram& DirectProgram::operator=(DirectProgram&&) noexcept = default;
DirectProgram::~DirectProgram() = default;

Result<void> DirectProgram::Skeleton::adopt(int control) {
  if (const int err = bpf_map__reuse_fd(object->maps.control, control))
    return fail(os_error("taking over " + pin(kControlPin), -err));
  const auto maps = other_maps();
  for (size_t i = 0; i < maps.size(); ++i) {
    const std::string path = pin(kOtherMapPins[i]);
    const Fd fd(bpf_obj_get(path.c_str()));
    if (!fd) return fail(os_error(fmt::format("{}: expected beside {}", path, kControlPin)));
    if (const int err = bpf_map__reuse_fd(maps[i], fd.get()))
      return fail(os_error("taking over " + path, -err));
  }
  adopted = true;
  return {};
}

Result<void> DirectProgram::Skeleton::pin_maps() {
  const bool made = mkdir(folder.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return fail(os_error("making " + folder));
  if (auto is_one = check_pin_folder(folder); !is_one) {
    if (made) rmdir(folder.c_str());
    return is_one;
  }
  const auto put = [&](bpf_map* map, const char* name) -> Result<void> {
    if (bpf_obj_pin(bpf_map__fd(map), pin(name).c_str()) == 0) return {};
    return fail(os_error("pinning " + pin(name)));
  };
  const auto maps = other_maps();
  for (size_t i = 0; i < maps.size(); ++i) SOCKMESH_CHECK(put(maps[i], kOtherMapPins[i]));
  return put(object->maps.control, kControlPin);
}

Result<DirectProgram> DirectProgram::load(const Sizes& sizes, const std::string& folder, Duration stall) {
  listen_to_libbpf();
  auto* object = direct_bpf::open(nullptr);
  if (!object) return fail(refusal("opening the direct programs", errno));
  auto skeleton = std::make_unique<Skeleton>(object, folder);
  set_sizes(*object, sizes);
  object->rodata->stall_nanoseconds =
      static_cast<__u32>(std::clamp<Duration>(stall, Duration{0}, kLongestStall).count());

  if (!folder.empty()) {
    SOCKMESH_TRY(control, open_pinned_control(folder));
    if (control) SOCKMESH_CHECK(skeleton->adopt(control.get()));
    // Whoever pinned some maps was killed before the last of them: nothing was attached yet.
    if (!control) SOCKMESH_CHECK(remove_direct_pins(folder));
  }
  if (const int err = direct_bpf::load(object)) return fail(refusal("loading the direct programs", -err));

  if (!skeleton->adopted) {
    direct_control control{};
    control.layout = DIRECT_LAYOUT;
    control.uid = control.gid = DIRECT_NONE;
    const __u32 zero = 0;
    if (bpf_map_update_elem(bpf_map__fd(object->maps.control), &zero, &control, BPF_ANY) != 0)
      return fail(os_error("writing the control block"));
    if (!folder.empty()) SOCKMESH_CHECK(skeleton->pin_maps());
  }

  bpf_iter_link_info target{};
  target.map.map_fd = static_cast<__u32>(bpf_map__fd(object->maps.flows));
  LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &target, .link_info_len = sizeof target);
  skeleton->open_flows = bpf_program__attach_iter(object->progs.direct_see, &options);
  if (!skeleton->open_flows) return fail(refusal("making the iterator over direct flows", errno));
  return DirectProgram(std::move(skeleton));
}

Result<void> DirectProgram::Skeleton::create(Link& link, int cgroup, const std::string& path) {
  Fd made(bpf_link_create(bpf_program__fd(link.program), cgroup, link.type, nullptr));
  if (!made) {
    Error error = os_error(fmt::format("attaching {} to {}", link.name, path));
    if (error.os_error == EPERM)
      error.message += ": expected CAP_NET_ADMIN, and no other program that is attached there exclusively";
    if (error.os_error == EBADF) error.message += ": expected a folder of cgroup v2";
    return fail(std::move(error));
  }
  if (!folder.empty() && bpf_obj_pin(made.get(), pin(link.name).c_str()) != 0)
    return fail(os_error("pinning " + pin(link.name)));
  link.fd = std::move(made);
  return {};
}

Result<void> DirectProgram::Skeleton::attach(Link& link, int cgroup, uint64_t cgroup_id,
                                             const std::string& path) {
  if (!link.fd && !folder.empty()) link.fd = Fd(bpf_obj_get(pin(link.name).c_str()));
  if (!link.fd) return create(link, cgroup, path);
  SOCKMESH_TRY(info, info_of(link.fd.get(), link.name));
  if (info.cgroup.cgroup_id == 0) {  // detached, or its cgroup is gone
    if (!folder.empty()) unlink(pin(link.name).c_str());
    link.fd.reset();
    return create(link, cgroup, path);
  }
  if (info.cgroup.cgroup_id != cgroup_id)
    return fail(
        "{} is attached to the cgroup with id {}: expected {} of {}; one folder of pins is for one pod",
        link.name, info.cgroup.cgroup_id, cgroup_id, path);
  const int program = bpf_program__fd(link.program);
  SOCKMESH_TRY(own_id, id_of(program));
  if (info.prog_id == own_id) return {};
  const Fd old(bpf_prog_get_fd_by_id(info.prog_id));
  if (!old)
    return fail(os_error(fmt::format("opening the program of {}, which is to be replaced", link.name)));
  // Compare and swap: of two agents that start at once, one learns of the other.
  LIBBPF_OPTS(bpf_link_update_opts, options, .flags = BPF_F_REPLACE,
              .old_prog_fd = static_cast<__u32>(old.get()));
  if (bpf_link_update(link.fd.get(), program, &options) == 0) return {};
  Error error = os_error(fmt::format("replacing the program of {}", link.name));
  if (error.os_error == EPERM) error.message += ": another process replaced it at the same time";
  return fail(std::move(error));
}

Result<void> DirectProgram::attach(const std::string& cgroup) {
  const Fd fd(open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(os_error("opening cgroup " + cgroup));
  struct stat found {};
  if (fstat(fd.get(), &found) != 0) return fail(os_error("asking about cgroup " + cgroup));
  for (Skeleton::Link& link : skeleton_->links)
    SOCKMESH_CHECK(skeleton_->attach(link, fd.get(), found.st_ino, cgroup));
  return {};
}

bool DirectProgram::attached() const {
  return std::ranges::all_of(skeleton_->links, [](const Skeleton::Link& link) {
    if (!link.fd) return false;
    const auto info = info_of(link.fd.get(), link.name);
    const auto own = id_of(bpf_program__fd(link.program));
    return info && own && info->cgroup.cgroup_id != 0 && info->prog_id == *own;
  });
}

bool DirectProgram::adopted() const { return skeleton_->adopted; }
int DirectProgram::control_fd() const { return bpf_map__fd(skeleton_->object->maps.control); }
int DirectProgram::destinations_fd() const { return bpf_map__fd(skeleton_->object->maps.destinations); }
int DirectProgram::prefixes_fd() const { return bpf_map__fd(skeleton_->object->maps.prefixes); }
int DirectProgram::routes_fd() const { return bpf_map__fd(skeleton_->object->maps.routes); }
int DirectProgram::clusters_fd() const { return bpf_map__fd(skeleton_->object->maps.clusters); }
int DirectProgram::hosts_fd() const { return bpf_map__fd(skeleton_->object->maps.hosts); }
int DirectProgram::live_fd() const { return bpf_map__fd(skeleton_->object->maps.live); }
int DirectProgram::events_fd() const { return bpf_map__fd(skeleton_->object->maps.events); }
int DirectProgram::open_flows_fd() const { return bpf_link__fd(skeleton_->open_flows); }

}  // namespace sockmesh::bpf
