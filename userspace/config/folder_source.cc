#include "config/folder_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string_view>

#include "base/fd.h"
#include "config/folder_source_scan.h"
#include "config/folder_source_watch.h"
#include "config/manifest_merge.h"
#include "config/yaml.h"

namespace sockmesh::config {

namespace {

// FNV-1a: only equality of a file with itself is asked of it.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// What says that a file was not written since it was read. Change times have the grain of a kernel tick: a
// file that changed just before it was read may change again unseen, so such a stamp is not believed.
struct Stamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = -1;
  int64_t changed_ns = 0;
  bool settled = false;

  bool same_file(const Stamp& other) const {
    return device == other.device && inode == other.inode && size == other.size &&
           changed_ns == other.changed_ns;
  }
};

int64_t in_ns(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

Stamp stamp_of(const struct stat& status) {
  constexpr int64_t kGrainNs = 100'000'000;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  Stamp stamp{status.st_dev, status.st_ino, status.st_size, in_ns(status.st_ctim)};
  stamp.settled = in_ns(now) - stamp.changed_ns > kGrainNs;
  return stamp;
}

Result<std::string> read_file(const std::string& path, Stamp& stamp) {
  // O_NONBLOCK: should it have become a pipe meanwhile, nobody waits for its writer.
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return fail(os_error("open"));
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return fail(os_error("stat"));
  if (!S_ISREG(status.st_mode)) return fail("not a regular file");
  if (static_cast<size_t>(status.st_size) > yaml::kMaxText) {
    return fail("{} bytes: expected at most {}", status.st_size, yaml::kMaxText);
  }
  stamp = stamp_of(status);
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t have = 0;
  while (have <= yaml::kMaxText) {
    if (have == text.size()) text.resize(have + 4096);  // it may grow while it is read
    const ssize_t length = read(file.get(), text.data() + have, text.size() - have);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return fail(os_error("read"));
    if (length == 0) break;
    have += static_cast<size_t>(length);
  }
  text.resize(have);
  return text;
}

}  // namespace

struct FolderSource::Impl {
  struct File {
    Stamp stamp;
    uint64_t hash = 0;                  // of the text last read; 0: never
    Resources good;                     // in force, unless forgotten
    std::vector<ReadProblem> problems;  // of the text last read
    std::string error;                  // why it could not be read last, "" when it could
    bool whole = false;                 // no object of the text last read was left out
    bool known = true;                  // which objects the text last read holds
    bool forgotten = false;             // what is in force was let go of, and not read again as a whole
  };

  std::string folder;
  FolderWatch watch;
  std::map<std::string, File> files;  // by name below the folder
  Loaded last;
  bool loaded = false;

  // Returns whether the file's content is new.
  static bool refresh(File& file, const FolderScan::File& found) {
    struct stat status {};
    if (file.stamp.settled && file.error.empty() && stat(found.path.c_str(), &status) == 0 &&
        file.stamp.same_file(stamp_of(status))) {
      return false;
    }
    const auto text = read_file(found.path, file.stamp);
    file.error = text ? "" : text.error().message;
    if (!text) {
      file.stamp = {};
      return false;
    }
    const uint64_t hash = hash_of(*text);
    if (file.hash == hash) return false;
    Resources fresh;
    std::vector<ReadProblem> problems;
    const bool all_readable = read_manifest(*text, found.name, fresh, problems);
    keep_last_good(fresh, file.good, all_readable, problems);
    file.hash = hash;
    file.good = std::move(fresh);
    file.problems = std::move(problems);
    file.known = all_readable;
    file.whole = all_readable && std::none_of(file.problems.begin(), file.problems.end(),
                                              [](const auto& problem) { return problem.object_dropped; });
    if (file.whole) file.forgotten = false;
    return true;
  }

  // Reads again what was forgotten. Returns whether all of it is there.
  bool recall(const FolderScan& scan) {
    for (const FolderScan::File& found : scan.files) {
      const auto known = files.find(found.name);
      if (known == files.end() || !known->second.forgotten) continue;
      File& file = known->second;
      file.stamp = {};
      file.hash = 0;
      refresh(file, found);
    }
    return !forgot_something();
  }

  bool forgot_something() const {
    return std::any_of(files.begin(), files.end(), [](const auto& one) { return one.second.forgotten; });
  }

  // Brings `files` up to the folder. Returns whether some content is new.
  bool refresh_all(const FolderScan& scan) {
    std::map<std::string, File> next;
    bool news = false;
    for (const FolderScan::File& found : scan.files) {
      auto known = files.extract(found.name);
      File file = known ? std::move(known.mapped()) : File{};
      news |= refresh(file, found);
      const bool gone = !file.error.empty() && access(found.path.c_str(), F_OK) != 0;  // since it was listed
      news |= gone;
      if (!gone) next.emplace(found.name, std::move(file));
    }
    // A file whose link is broken is not gone: its last good content stays.
    for (const ReadProblem& problem : scan.problems) {
      if (auto known = files.extract(problem.file)) next.insert(std::move(known));
    }
    news |= !files.empty();
    files = std::move(next);
    return news;
  }

  // `problems`: of the folder itself.
  Loaded assemble(std::vector<ReadProblem> problems) const {
    std::vector<const Resources*> parts;
    std::string unreadable = problems.empty() ? "" : problems.front().to_string();
    for (const auto& [name, file] : files) {
      parts.push_back(&file.good);
      if (unreadable.empty()) unreadable = unreadable_part(name, file);
      if (!file.error.empty()) {
        const char* rest = file.hash != 0 ? "; until then its last good content stays in force" : "";
        problems.push_back({name, 0, "", "", file.error + rest});
      }
      problems.insert(problems.end(), file.problems.begin(), file.problems.end());
    }
    Loaded result;
    result.resources = combine(parts, problems);
    result.problems = std::move(problems);
    result.unreadable = std::move(unreadable);
    return result;
  }

  static std::string unreadable_part(const std::string& name, const File& file) {
    if (!file.error.empty()) return fmt::format("{}: {}", name, file.error);
    if (file.known) return "";
    // The one that says so has no object's name; there may be remarks before it, which are part of the story.
    for (const ReadProblem& problem : file.problems)
      if (problem.object.empty() || problem.object.ends_with('/') || problem.object.ends_with(' '))
        return problem.to_string();
    return fmt::format("{}: a document of it does not say which object it is", name);
  }
};

FolderSource::FolderSource(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FolderSource::~FolderSource() = default;

Result<std::unique_ptr<FolderSource>> FolderSource::open(std::string folder) {
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0) return fail(os_error(fmt::format("folder '{}'", folder)));
  if (!S_ISDIR(status.st_mode)) return fail("'{}': expected a folder of manifests", folder);
  SOCKMESH_TRY(watch, FolderWatch::open(folder));
  std::unique_ptr<Impl> impl(new Impl{std::move(folder), std::move(watch)});
  return std::unique_ptr<FolderSource>(new FolderSource(std::move(impl)));
}

int FolderSource::watch_fd() const { return impl_->watch.fd(); }

FolderSource::Loaded FolderSource::load(Look look) {
  Impl& impl = *impl_;
  const bool happened = impl.watch.drain();
  impl.last.changed = false;
  if (!happened && impl.loaded && look == Look::kChanges) return impl.last;
  if (look == Look::kEverything)
    for (auto& [name, file] : impl.files) file.stamp = {};

  impl.watch.begin_scan();
  FolderScan scan = scan_folder(impl.folder, [&](const std::string& folder) { impl.watch.add(folder); });
  const std::string unwatched = impl.watch.end_scan();
  bool news = !impl.loaded || !impl.last.complete;
  if (scan.found) {
    news |= impl.refresh_all(scan);
  } else {
    scan.problems.push_back({impl.folder, 0, "", "",
                             "the folder is gone; until it is back its last good content stays in force"});
  }
  const bool complete = !news || impl.recall(scan);
  const bool known = !impl.forgot_something();
  Loaded now = impl.assemble(std::move(scan.problems));
  if (!unwatched.empty())
    now.problems.push_back({impl.folder, 0, "", "", unwatched + "; changes there are not seen"});
  now.changed = news || (known && now.problems != impl.last.problems);
  now.complete = complete;
  impl.last = std::move(now);
  impl.loaded = true;
  return impl.last;
}

void FolderSource::forget() {
  if (!impl_->last.complete) return;
  impl_->last.resources = {};
  for (auto& [name, file] : impl_->files) {
    if (!file.whole || !file.error.empty()) continue;
    file.good = {};
    file.forgotten = true;
  }
}

}  // namespace sockmesh::config
