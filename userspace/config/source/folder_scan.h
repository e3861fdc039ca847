// Which files of a folder are manifests: *.yaml, *.yml and *.json at any depth, not hidden, each real file
// once. Links are followed as long as they stay inside the folder, so that Kubernetes' way of mounting a
// ConfigMap works (FILE -> ..data/FILE, ..data -> ..2024_01_01/, swapped by a rename) and a link to
// /etc/passwd does not. Whatever is in the folder, a scan ends: no file is opened, and what it looks at is
// bounded here.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/manifest/reader.h"

namespace sockmesh::config {

inline constexpr int kMaxFolderDepth = 16;  // folders below the folder
inline constexpr size_t kMaxManifestFiles = 50'000;
inline constexpr size_t kMaxFolderEntries = 100'000;  // names of any kind, at all depths

struct FolderScan {
  struct File {
    std::string name;  // below the folder: "mesh/routes.yaml"
    std::string path;
  };
  bool found = false;       // the folder itself
  std::vector<File> files;  // by name
  ProblemList problems;
  // What cannot be read now and may hold manifests: files, and folders with all that is below them. What is
  // known of them from before still stands.
  struct Unreadable {
    std::string name;  // as File::name; "" is the folder itself
    bool told = true;  // among the problems; a link is not that is called like no manifest and leads nowhere
  };
  std::vector<Unreadable> unreadable;
  bool complete = true;  // false: more than the bounds allow, so what is here is only a part
};

// `on_folder` is called with each folder before it is listed, and with the folders that links lead to: a
// watch set there misses nothing that the listing did not see.
FolderScan scan_folder(const std::string& root, const std::function<void(const std::string&)>& on_folder);

}  // namespace sockmesh::config
