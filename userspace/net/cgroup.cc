#include "net/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

#include "base/strings.h"

namespace sockmesh::net {

namespace {

// "\040" -> " "
std::string unescaped(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// Of version 2, whose line has neither a number nor controllers: "0::/kubepods/pod1/c".
std::optional<std::string> path_of(std::string_view cgroups) {
  for (const std::string_view line : split(cgroups, '\n', true))
    if (line.starts_with("0::/")) return std::string(line.substr(3));
  return std::nullopt;
}

struct Mount {
  std::string root, point;  // what of the hierarchy is mounted, and where
};

std::optional<Mount> cgroup2_mount(std::string_view line) {
  const auto words = split(line, ' ', true);
  const auto dash = std::find(words.begin(), words.end(), "-");
  if (dash == words.end() || words.end() - dash < 2 || dash - words.begin() < 6 || *(dash + 1) != "cgroup2")
    return std::nullopt;
  return Mount{unescaped(words[3]), unescaped(words[4])};
}

// Where a path of the hierarchy is seen through a mount.
std::optional<std::string> seen_through(const Mount& mount, const std::string& path) {
  if (mount.root == "/") return path == "/" ? mount.point : mount.point + path;
  if (path == mount.root) return mount.point;
  if (path.starts_with(mount.root + "/")) return mount.point + path.substr(mount.root.size());
  return std::nullopt;
}

Result<std::string> text_of(const char* path) {
  std::ifstream file(path);
  if (!file) return fail(os_error(fmt::format("reading {}", path)));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool is_pod_uid(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-' || c == '_';
  });
}

}  // namespace

Result<std::string> own_cgroup(std::string_view cgroups, std::string_view mounts) {
  const auto path = path_of(cgroups);
  if (!path) return fail("this process is in no cgroup of version 2");
  for (const std::string_view line : split(mounts, '\n', true)) {
    const auto mount = cgroup2_mount(line);
    if (!mount) continue;
    if (auto folder = seen_through(*mount, *path)) return *folder;
  }
  return fail("cgroup {} is not to be seen: no cgroup v2 is mounted that has it", *path);
}

Result<std::string> own_cgroup() {
  SOCKMESH_TRY(cgroups, text_of("/proc/self/cgroup"));
  SOCKMESH_TRY(mounts, text_of("/proc/self/mountinfo"));
  return own_cgroup(cgroups, mounts);
}

std::optional<std::string> pod_cgroup_of(std::string_view own) {
  const std::string_view parent = own.substr(0, own.rfind('/'));
  std::string_view name = parent.substr(parent.rfind('/') + 1);
  if (name.starts_with("kubepods") && name.ends_with(".slice")) {  // systemd's driver
    name.remove_suffix(std::string_view(".slice").size());
    name = name.substr(name.rfind("-pod") + 1);
  } else if (parent.find("/kubepods/") == std::string_view::npos) {
    return std::nullopt;
  }
  if (!name.starts_with("pod") || !is_pod_uid(name.substr(3))) return std::nullopt;
  return std::string(parent);
}

}  // namespace sockmesh::net
