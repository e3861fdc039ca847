// ResourceSource: where the objects of a mesh come from: a folder of manifests (config/source/folder.h); the
// interface has room for an API server. It says when something may have changed and what there is then. What
// is broken keeps its last good version in force; what that means for policy is decided by who asks
// (config/source/admission.h). One thread owns it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "config/manifest/reader.h"

namespace sockmesh::config {

class ResourceSource {
 public:
  virtual ~ResourceSource() = default;

  // Readable when something may have changed; then call load(), after settle_time(), in which whoever changes
  // it gets done: load() takes what there is at that moment. Owned by the source.
  virtual int watch_fd() const = 0;
  virtual std::chrono::milliseconds settle_time() const = 0;

  struct Loaded {
    Resources resources;
    // Of this load, those of kept last-good versions included. The first kMaxProblems, with one for each
    // object that was left out and is known in no version, and how many there are.
    std::vector<ReadProblem> problems;
    size_t problem_count = 0;
    bool changed = false;  // some content, or what can be read, differs from the load before
    std::string
        unusable;  // why `resources` is of no use and nothing should change, a clause; "": it is of use
    std::string unreadable;  // the first thing of which nobody knows which objects it holds now: a file that
                             // cannot be read, a document that is no YAML; "": all is known
    // What does not change comes as the same objects next time. False: there are so many that they are let go
    // of by taken(), and each change brings all of them anew.
    bool kept = true;
  };
  // kChanges: what changed since the last call (everything the first time). kEverything: asks again for all,
  // whatever the watch says.
  enum class Look : uint8_t { kChanges, kEverything };
  virtual Loaded load(Look look = Look::kChanges) = 0;

  // What was loaded last is in force. What is not kept is let go of: until the next change `resources` stays
  // empty.
  virtual void taken() = 0;
};

}  // namespace sockmesh::config
