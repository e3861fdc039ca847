// A folder of manifests as a source of Resources: reads every *.yaml, *.yml and *.json below it (not hidden
// ones, not through links that leave it; Kubernetes' ..data links are followed), watches it with inotify, and
// says when something changed. A file that stops being readable keeps its last good content in force. One
// thread owns it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "config/manifest_reader.h"

namespace sockmesh::config {

class FolderSource {
 public:
  static Result<std::unique_ptr<FolderSource>> open(std::string folder);
  ~FolderSource();

  // Readable when the folder may have changed; then call load(). Owned by the source.
  int watch_fd() const;

  struct Loaded {
    Resources resources;
    std::vector<ReadProblem> problems;  // of this load, those of kept last-good files included
    bool changed = false;               // content differs from the load before
  };
  // Drains the watch and reads what changed since the last call (everything the first time).
  Loaded load();

 private:
  struct Impl;
  explicit FolderSource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::config
