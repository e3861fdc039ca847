// Which files of a folder are manifests: *.yaml, *.yml and *.json at any depth, not hidden, each real file
// once. Links are followed as long as they stay inside the folder, so that Kubernetes' way of mounting a
// ConfigMap works (FILE -> ..data/FILE, ..data -> ..2024_01_01/, swapped by a rename) and a link to
// /etc/passwd does not.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "config/manifest_reader.h"

namespace sockmesh::config {

inline constexpr int kMaxFolderDepth = 16;  // folders below the folder
inline constexpr size_t kMaxManifestFiles = 50'000;

struct FolderScan {
  struct File {
    std::string name;  // below the folder: "mesh/routes.yaml"
    std::string path;
  };
  bool found = false;       // the folder itself
  std::vector<File> files;  // by name
  std::vector<ReadProblem> problems;
};

// `on_folder` is called with each folder before it is listed, and with the folders that links lead to: a
// watch set there misses nothing that the listing did not see.
FolderScan scan_folder(const std::string& root, const std::function<void(const std::string&)>& on_folder);

}  // namespace sockmesh::config
