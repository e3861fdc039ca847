#include "config/folder_source_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace fs = std::filesystem;

namespace sockmesh::config {

namespace {

bool is_manifest_name(const fs::path& name) {
  const fs::path extension = name.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

bool is_inside(const fs::path& path, const fs::path& root) {
  return std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first == root.end();
}

class Scanner {
 public:
  Scanner(fs::path root, const std::function<void(const std::string&)>& on_folder)
      : root_(std::move(root)), on_folder_(on_folder) {}

  FolderScan run() {
    std::error_code error;
    on_folder_(root_);
    real_root_ = fs::canonical(root_, error);
    scan_.found = !error && fs::is_directory(real_root_, error);
    if (scan_.found) folder(root_, real_root_, "", 0);
    std::sort(scan_.files.begin(), scan_.files.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return std::move(scan_);
  }

 private:
  void folder(const fs::path& path, const fs::path& real, const std::string& prefix, int depth) {
    if (!seen_.insert(real).second) return;  // reached by a link and directly, or in a circle
    if (depth > kMaxFolderDepth) {
      return report(prefix, fmt::format("deeper than {} folders: not read", kMaxFolderDepth));
    }
    on_folder_(path);
    std::error_code error;
    std::vector<fs::path> names;  // sorted, so that what is read does not depend on the file system's order
    for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
      names.push_back(it->path().filename());
    }
    if (error) report(prefix, fmt::format("cannot be listed: {}", error.message()));
    std::sort(names.begin(), names.end());
    for (const fs::path& name : names) {
      if (!name.native().starts_with('.')) entry(path / name, prefix + name.native(), depth);
    }
  }

  void entry(const fs::path& path, const std::string& name, int depth) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    const bool manifest = is_manifest_name(path);
    if (error) {  // a link that leads nowhere, or gone since the listing
      if (manifest && fs::is_symlink(path, error)) report(name, "a link that leads nowhere: not read");
      return;
    }
    const bool is_folder = fs::is_directory(real, error);
    if (!is_folder && !manifest) return;
    if (!is_inside(real, real_root_)) return report(name, "a link that leaves the folder: not read");
    if (is_folder) return folder(path, real, name + "/", depth + 1);
    if (!fs::is_regular_file(real, error)) return report(name, "not a regular file: not read");
    if (real.parent_path() != path.parent_path()) on_folder_(real.parent_path());
    if (!seen_.insert(real).second) return;
    if (scan_.files.size() == kMaxManifestFiles) {
      if (!full_)
        report(name, fmt::format("more than {} files: not read, nor what follows", kMaxManifestFiles));
      full_ = true;
      return;
    }
    scan_.files.push_back({name, path});
  }

  void report(const std::string& name, std::string text) {
    scan_.problems.push_back({name.empty() ? root_.native() : name, 0, "", "", std::move(text), false});
  }

  const fs::path root_;
  fs::path real_root_;
  const std::function<void(const std::string&)>& on_folder_;
  std::set<fs::path> seen_;  // real paths
  FolderScan scan_;
  bool full_ = false;
};

}  // namespace

FolderScan scan_folder(const std::string& root, const std::function<void(const std::string&)>& on_folder) {
  return Scanner(root, on_folder).run();
}

}  // namespace sockmesh::config
