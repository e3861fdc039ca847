// A folder of manifests as a source of Resources: reads every *.yaml, *.yml and *.json below it (not hidden
// ones, not through links that leave it; Kubernetes' ..data links are followed), watches it with inotify, and
// says when something changed. Of objects declared twice the last one counts, files in the order of their
// names.
//
// What is broken changes nothing: a file that stops being readable keeps its last good content in force, an
// object that has to be left out its last good version, and a folder that disappears everything, until it is
// back. Loaded says what is not known; whoever decides by the Resources has to ask, since what is missing may
// be what forbids. A folder that is bigger than it may be changes
// nothing at all: a part of it is not what was meant.
//
// Bounds: those below, of config/manifest (yaml.h, reader.h), of read_problem.h and of folder_scan.h
// (files, names, depth). One thread owns it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/manifest/reader.h"

namespace sockmesh::config {

inline constexpr size_t kMaxFolderText = size_t{64} << 20;  // bytes of all files; 10,000 Services are 20 MB

class FolderSource {
 public:
  // The folder must exist.
  static Result<std::unique_ptr<FolderSource>> open(std::string folder);
  ~FolderSource();

  // Readable when the folder may have changed; then call load(), after kSettleTime, in which a person's `cp
  // -r` or an editor's rename gets done: load() reads what there is at that moment. Owned by the source.
  int watch_fd() const;
  static constexpr std::chrono::milliseconds kSettleTime{50};

  struct Loaded {
    Resources resources;
    // Of this load, those of kept last-good files included; files named relative to the folder. The first
    // kMaxProblems, with one for each object that was left out and is known in no version, and how many there
    // are.
    std::vector<ReadProblem> problems;
    size_t problem_count = 0;
    bool changed = false;    // some content, or what can be read, differs from the load before
    bool complete = true;    // false: `resources` is of no use, nothing should change. See forget(), and the
                             // bounds
    std::string unreadable;  // the first thing of which nobody knows which objects it holds now: a file that
                             // cannot be read, a document that is no YAML; "": all is known
  };
  // kChanges: drains the watch and reads what changed since the last call (everything the first time).
  // kEverything: reads every file again, whatever the watch and the files' times say. Not everything that
  // changes a file shows there: a file that is bind-mounted from elsewhere, a hard link to it, another
  // machine's writes to NFS.
  enum class Look : uint8_t { kChanges, kEverything };
  Loaded load(Look look = Look::kChanges);

  // Lets go of the objects of all files of which nothing had to be left out: the parsed form of a big folder
  // takes more memory than its owner may want to spend between changes. The next change reads these files
  // again. If one is broken by then, its last good content is not known here any more, so nothing at all
  // should change: load() says so by `complete`, until it is mended. Without a change `resources` stays
  // empty.
  void forget();

 private:
  struct Impl;
  explicit FolderSource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sockmesh::config
