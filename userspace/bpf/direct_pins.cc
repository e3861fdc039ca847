#include "bpf/direct_pins.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "intf/direct.h"

namespace sockmesh::bpf {

std::string direct_pin(const std::string& folder, std::string_view name) {
  return fmt::format("{}/{}", folder, name);
}

Result<Fd> open_pinned_control(const std::string& folder) {
  const std::string path = direct_pin(folder, kControlPin);
  Fd control(bpf_obj_get(path.c_str()));
  if (!control) {
    if (errno == ENOENT) return Fd();
    return fail(os_error("opening " + path));
  }
  bpf_map_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(control.get(), &info, &size) != 0) return fail(os_error("asking about " + path));
  if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size < sizeof(__u32))
    return fail("{}: not the control block of lane 3: expected an array of direct_control", path);
  // Of whatever size it is there.
  std::vector<__u32> block((info.value_size + sizeof(__u32) - 1) / sizeof(__u32));
  const __u32 zero = 0;
  if (bpf_map_lookup_elem(control.get(), &zero, block.data()) != 0) return fail(os_error("reading " + path));
  if (block[0] != DIRECT_LAYOUT || info.value_size != sizeof(direct_control))
    return fail(
        "{}: layout {} of {} bytes: expected layout {} of {}; another version pinned it, and has to remove "
        "it",
        path, block[0], info.value_size, DIRECT_LAYOUT, sizeof(direct_control));
  return control;
}

Result<void> switch_pinned_direct(const std::string& folder, bool enabled) {
  SOCKMESH_TRY(fd, open_pinned_control(folder));
  if (!fd) return fail("{}: no control block: expected the pins of lane 3", folder);
  void* memory = mmap(nullptr, sizeof(direct_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return fail(os_error("mapping the control block in " + folder));
  std::atomic_ref(static_cast<direct_control*>(memory)->enabled).store(enabled ? 1 : 0);
  munmap(memory, sizeof(direct_control));
  return {};
}

Result<void> check_pin_folder(const std::string& folder) {
  struct statfs found {};
  if (statfs(folder.c_str(), &found) != 0) return fail(os_error("asking about " + folder));
  if (found.f_type != BPF_FS_MAGIC)
    return fail("{}: expected a folder of a BPF file system (mount -t bpf)", folder);
  return {};
}

Result<void> remove_direct_pins(const std::string& folder) {
  // Names like `hosts` are files of other people where no BPF file system is.
  if (auto is_one = check_pin_folder(folder); !is_one) {
    if (is_one.error().os_error == ENOENT) return {};
    return is_one;
  }
  // An error here is another layout, or nothing there: the rest is the same.
  (void)switch_pinned_direct(folder, false);
  const auto unpin = [&](const char* name) -> Result<void> {
    const std::string path = direct_pin(folder, name);
    if (unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR)
      return fail(os_error("removing " + path));
    return {};
  };
  for (auto name = kLinkPins.rbegin(); name != kLinkPins.rend(); ++name) {
    const Fd link(bpf_obj_get(direct_pin(folder, *name).c_str()));
    if (link) (void)bpf_link_detach(link.get());  // it may be detached already, or its cgroup gone
    SOCKMESH_CHECK(unpin(*name));
  }
  SOCKMESH_CHECK(unpin(kControlPin));
  for (const char* name : kOtherMapPins) SOCKMESH_CHECK(unpin(name));
  if (rmdir(folder.c_str()) != 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EBUSY)
    return fail(os_error("removing " + folder));
  return {};
}

}  // namespace sockmesh::bpf
