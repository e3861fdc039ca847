// A folder of manifests as a source of Resources: reads every *.yaml, *.yml and *.json below it (not hidden
// ones, not through links that leave it; Kubernetes' ..data links are followed), watches it with inotify, and
// says when something changed. Of objects declared twice the last one counts, files in the order of their
// names.
//
// What is broken changes nothing: a file that stops being readable keeps its last good content in force, an
// object that has to be left out its last good version, and a folder that disappears everything, until it is
// back. Loaded says what is not known; whoever decides by the Resources has to ask, since what is missing may
// be what forbids. A folder that is bigger than it may be changes nothing at all: a part of it is not what
// was meant.
//
// Bounds: those below, of config/manifest (yaml.h, reader.h), of read_problem.h and of folder_scan.h
// (files, names, depth). One thread owns it.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "config/source/resource_source.h"

namespace sockmesh::config {

inline constexpr size_t kMaxFolderText = size_t{64} << 20;  // bytes of all files; 10,000 Services are 20 MB

// Up to so many objects are kept in parsed form, some 4 KB each. Of more, the files are read again with each
// change: a second for 20,000. Why: docs/decisions/005-big-folders.md.
inline constexpr size_t kKeptObjects = 2000;

class FolderSource final : public ResourceSource {
 public:
  // The folder must exist.
  static Result<std::unique_ptr<FolderSource>> open(std::string folder, size_t kept_objects = kKeptObjects);
  ~FolderSource() override;

  int watch_fd() const override;
  std::chrono::milliseconds settle_time() const override { return std::chrono::milliseconds(50); }

  // Files are named relative to the folder. kChanges reads the files that changed. kEverything reads every
  // file, whatever the watch and the files' times say: not everything that changes a file shows there, a file
  // that is bind-mounted from elsewhere, a hard link to it, another machine's writes to NFS.
  Loaded load(Look look = Look::kChanges) override;

  // When the objects are too many to be kept, lets go of those of all files of which nothing had to be left
  // out. The next change reads these files again. If one is broken by then, its last good content is not
  // known here any more, so what is loaded is unusable until it is mended.
  void taken() override;

 private:
  struct Impl;
  explicit FolderSource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::config
