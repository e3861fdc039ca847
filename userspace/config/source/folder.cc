#include "config/source/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/fd.h"
#include "base/fnv1a.h"
#include "config/manifest/yaml.h"
#include "config/source/folder_scan.h"
#include "config/source/folder_watch.h"
#include "config/source/merge.h"

namespace sockmesh::config {

namespace {

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
  // Half of what somebody is writing can be good YAML that lacks an object. The watch tells when it is
  // closed.
  if (fstat(file.get(), &status) != 0) return fail(os_error("stat"));
  if (!stamp.same_file(stamp_of(status)) || have != static_cast<size_t>(status.st_size))
    return fail("it changed while it was read");
  text.resize(have);
  return text;
}

}  // namespace

struct FolderSource::Impl {
  struct File {
    Stamp stamp;
    uint64_t hash = 0;                 // of the text last read; 0: never
    Resources good;                    // in force, unless forgotten
    ProblemList problems;              // of the text last read
    std::string error;                 // why it could not be read last, "" when it could
    bool whole = false;                // no object of the text last read was left out
    bool forgotten = false;            // what is in force was let go of, and not read again as a whole
    bool known = true;                 // which objects the text last read holds
    std::vector<std::string> unknown;  // objects of the text last read that are known in no version
    size_t bytes = 0, objects = 0;     // of the text last read; what is kept of others counts as an object
  };

  std::string folder;
  FolderWatch watch;
  size_t kept_objects;
  std::map<std::string, File> files;  // by name below the folder
  Loaded last;
  bool loaded = false;
  std::string unreadable_entry;  // the first name that cannot be read, and why; ""
  std::string over_bound;        // which bound the folder is over, ""

  // Returns whether the file's content is new. When that has more objects than are left to the folder nothing
  // of it is taken over.
  bool refresh(File& file, const FolderScan::File& found, size_t objects_left) {
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
    const uint64_t hash = fnv1a(*text);  // only equality of a file with itself is asked of it
    if (file.hash == hash) return false;
    Resources fresh;
    ReadReport report = read_manifest(*text, found.name, fresh, objects_left);
    std::vector<std::string> unknown = keep_last_good(fresh, file.good, report);
    const size_t objects = std::max(report.objects, object_count(fresh));
    if (report.full || objects > objects_left) {
      over_bound = fmt::format("{}: more than {} objects in the folder", found.name, kMaxObjects);
      file.stamp = {};
      return true;
    }
    file.hash = hash;
    file.good = std::move(fresh);
    file.problems = std::move(report.problems);
    file.unknown = std::move(unknown);
    file.bytes = text->size();
    file.objects = objects;
    file.known = report.all_readable;
    file.whole = report.all_readable && report.left_out.empty();
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
      refresh(file, found, kMaxObjects);
    }
    return !forgot_something();
  }

  bool forgot_something() const {
    return std::any_of(files.begin(), files.end(), [](const auto& one) { return one.second.forgotten; });
  }

  // Brings `files` up to the folder, as far as the bounds allow. Returns whether some content is new.
  bool refresh_all(FolderScan& scan) {
    std::map<std::string, File> next;
    bool news = false;
    size_t bytes = 0, objects = 0, problems = 0;
    for (const FolderScan::File& found : scan.files) {
      auto known = files.extract(found.name);
      if (!over_bound.empty()) {  // nothing will change: what is known stays for when it fits again
        if (known) next.insert(std::move(known));
        continue;
      }
      File file = known ? std::move(known.mapped()) : File{};
      news |= refresh(file, found, kMaxObjects - objects);
      bytes += file.bytes;
      objects = std::min(objects + file.objects, kMaxObjects);
      if (bytes > kMaxFolderText)
        over_bound =
            fmt::format("{}: more than {} bytes in the files of the folder", found.name, kMaxFolderText);
      limit_kept(file.problems, problems);
      const bool gone = !file.error.empty() && access(found.path.c_str(), F_OK) != 0;  // since it was listed
      news |= gone;
      if (!gone) next.emplace(found.name, std::move(file));
    }
    for (const FolderScan::Unreadable& one : scan.unreadable) keep_unreadable(one, scan.problems, next);
    news |= !files.empty();
    files = std::move(next);
    return news;
  }

  // Of the problems of all files four times as many are kept as can be told at once: some may be mended
  // before others.
  static void limit_kept(ProblemList& list, size_t& kept) {
    const size_t room = 4 * kMaxProblems - kept;
    if (list.first.size() > room) {
      list.first.resize(room);
      list.first.shrink_to_fit();
    }
    kept += list.first.size();
  }

  // It is there, but it or what it leads to cannot be read: that is not to be gone. What is known of it, a
  // file or all files below it, stays.
  void keep_unreadable(const FolderScan::Unreadable& unreadable, ProblemList& problems,
                       std::map<std::string, File>& next) {
    const std::string& name = unreadable.name;
    const std::string below = name.empty() || name.ends_with('/') ? name : name + "/";
    bool kept = false;
    for (auto at = files.lower_bound(name); at != files.end() && at->first.starts_with(name);) {
      const auto file = at++;
      if (file->first != name && !file->first.starts_with(below)) continue;
      next.insert(files.extract(file));
      kept = true;
    }
    if (kept && !unreadable.told)
      problems.add({name, 0, "", "", "cannot be read; until then its last good content stays in force"});
    // A link that leads nowhere, is called like no manifest and was never followed may be anything.
    if ((kept || unreadable.told) && unreadable_entry.empty())
      unreadable_entry = fmt::format("{}: cannot be read", name.empty() ? folder : name);
  }

  Loaded assemble(ProblemList problems) const {
    Loaded result;
    result.unreadable = unreadable_entry;
    std::vector<std::pair<std::string, std::string>> unknown;  // object, file
    std::vector<const Resources*> parts;
    for (const auto& [name, file] : files) {
      parts.push_back(&file.good);
      if (!file.error.empty()) {
        const char* rest = file.hash != 0 ? "; until then its last good content stays in force" : "";
        problems.add({name, 0, "", "", file.error + rest});
      }
      problems.add_all(file.problems);
      if (result.unreadable.empty()) result.unreadable = unreadable_part(name, file);
      for (const std::string& object : file.unknown) unknown.emplace_back(object, name);
    }
    result.resources = combine(parts, problems);
    result.problems = std::move(problems.first);
    result.problem_count = problems.count;
    name_all(unknown, result.problems);
    return result;
  }

  static std::string unreadable_part(const std::string& name, const File& file) {
    if (!file.error.empty()) return fmt::format("{}: {}", name, file.error);
    if (file.known) return "";
    // The one that says so has no object's name; there may be remarks before it, which are part of the story.
    for (const ReadProblem& problem : file.problems.first)
      if (problem.object.empty() || problem.object.ends_with('/') || problem.object.ends_with(' '))
        return problem.to_string();
    return fmt::format("{}: a document of it does not say which object it is", name);
  }

  // Who has to know what is missing does not find it in a list that was cut: at most kMaxObjects entries
  // more.
  static void name_all(const std::vector<std::pair<std::string, std::string>>& unknown,
                       std::vector<ReadProblem>& problems) {
    std::unordered_set<std::string> named;
    for (const ReadProblem& problem : problems)
      if (problem.object_dropped) named.insert(problem.object);
    for (const auto& [object, file] : unknown)
      if (named.insert(object).second)
        problems.push_back(
            {file, 0, object, "", "broken; why is not among the problems that are listed", true});
  }
};

FolderSource::FolderSource(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FolderSource::~FolderSource() = default;

Result<std::unique_ptr<FolderSource>> FolderSource::open(std::string folder, size_t kept_objects) {
  struct stat status {};
  if (stat(folder.c_str(), &status) != 0) return fail(os_error(fmt::format("folder '{}'", folder)));
  if (!S_ISDIR(status.st_mode)) return fail("'{}': expected a folder of manifests", folder);
  SOCKMESH_TRY(watch, FolderWatch::open(folder));
  std::unique_ptr<Impl> impl(new Impl{std::move(folder), std::move(watch), kept_objects});
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
  bool news = !impl.loaded || !impl.last.unusable.empty();
  impl.over_bound.clear();
  impl.unreadable_entry.clear();
  if (!scan.found) {
    const char* gone = "the folder is gone; until it is back its last good content stays in force";
    impl.unreadable_entry = fmt::format("{}: {}", impl.folder, gone);
    scan.problems.add({impl.folder, 0, "", "", gone});
  } else if (scan.complete) {
    news |= impl.refresh_all(scan);
  }
  bool complete = scan.complete && impl.over_bound.empty();
  if (complete && news) complete = impl.recall(scan);
  if (!impl.over_bound.empty()) {
    scan.problems.add({impl.folder, 0, "", "",
                       impl.over_bound + "; nothing changes until it is smaller: expected what concerns this "
                                         "pod's part of the mesh"});
  }
  const bool known = !impl.forgot_something();
  Loaded now = impl.assemble(std::move(scan.problems));
  if (!unwatched.empty()) {
    now.problems.push_back({impl.folder, 0, "", "", unwatched + "; changes there are not seen"});
    ++now.problem_count;
  }
  now.changed = news || (known && now.problems != impl.last.problems);
  now.kept = known && object_count(now.resources) <= impl.kept_objects;
  if (!complete) {
    now.unusable = "nothing changes until the folder can be read as a whole";
    now.resources = {};
  }
  impl.last = std::move(now);
  impl.loaded = true;
  return impl.last;
}

void FolderSource::taken() {
  if (impl_->last.kept || !impl_->last.unusable.empty()) return;
  impl_->last.resources = {};
  for (auto& [name, file] : impl_->files) {
    if (!file.whole || !file.error.empty()) continue;
    file.good = {};
    file.forgotten = true;
  }
}

}  // namespace sockmesh::config
