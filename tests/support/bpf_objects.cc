#include "test_support/bpf_objects.h"

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "test_support/process.h"
#include "test_support/temp_dir.h"

namespace sockmesh::test {

std::set<std::string> bpf_objects(pid_t pid) {
  std::set<std::string> objects;
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/fdinfo", pid))) {
    const std::string text = read_text(entry.path().string());
    for (const std::string_view line : split(text, '\n', true)) {
      for (const std::string_view kind : {"prog", "map"}) {
        const std::string key = std::string(kind) + "_id:";
        if (line.starts_with(key)) objects.insert(fmt::format("{} {}", kind, trim(line.substr(key.size()))));
      }
    }
  }
  return objects;
}

bool bpf_object_exists(const std::string& object) {
  const auto words = split(object, ' ');
  return run({.argv = {"bpftool", std::string(words[0]), "show", "id", std::string(words[1])}}).status == 0;
}

bool any_bpf_object_exists(const std::set<std::string>& objects) {
  return std::any_of(objects.begin(), objects.end(), bpf_object_exists);
}

}  // namespace sockmesh::test
