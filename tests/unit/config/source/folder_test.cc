// A real folder, changed the ways people, editors and Kubernetes change one; each change is awaited on the
// watch.
#include "config/source/folder.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/fd.h"
#include "config/manifest/yaml.h"
#include "config/source/folder_scan.h"

namespace fs = std::filesystem;
using namespace sockmesh;
using namespace sockmesh::config;

namespace {

std::string service(const std::string& name, const std::string& ip = "10.96.0.1") {
  return fmt::format("apiVersion: v1\nkind: Service\nmetadata: {{name: {}}}\nspec: {{clusterIP: {}}}\n---\n",
                     name, ip);
}

class Folder {
 public:
  Folder() {
    char path[] = "/tmp/sockmesh-folder-XXXXXX";
    base_ = mkdtemp(path);
    root_ = base_ / "config";
    fs::create_directory(root_);
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }

  fs::path operator/(const std::string& name) const { return root_ / name; }
  const fs::path& root() const { return root_; }
  const fs::path& base() const { return base_; }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::trunc) << text;
  }

 private:
  fs::path base_, root_;
};

std::string names(const FolderSource::Loaded& loaded) {
  std::vector<std::string> out;
  for (const auto& service : loaded.resources.services) out.push_back(service->meta.name);
  std::sort(out.begin(), out.end());
  return fmt::format("{}", fmt::join(out, " "));
}

std::string problems(const FolderSource::Loaded& loaded) {
  std::string out;
  for (const ReadProblem& problem : loaded.problems) out += problem.to_string() + "\n";
  return out;
}

bool readable(const FolderSource& source, int timeout_ms) {
  pollfd watch{source.watch_fd(), POLLIN, 0};
  return poll(&watch, 1, timeout_ms) == 1;
}

// Waits until what is loaded satisfies `done`.
template <typename Done>
FolderSource::Loaded await(FolderSource& source, const Done& done) {
  FolderSource::Loaded loaded;
  do {
    INFO("last seen: " << names(loaded) << "\n" << problems(loaded));
    REQUIRE(readable(source, 10'000));
    loaded = source.load();
  } while (!done(loaded));
  return loaded;
}
FolderSource::Loaded await_names(FolderSource& source, const std::string& expected) {
  return await(source, [&](const auto& loaded) { return names(loaded) == expected; });
}

struct Opened {
  explicit Opened(const Folder& folder) : source(std::move(FolderSource::open(folder.root()).value())) {
    first = source->load();
  }
  std::unique_ptr<FolderSource> source;
  FolderSource::Loaded first;
};

}  // namespace

TEST_CASE("a folder is read at any depth, by extension, without what is hidden") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  folder.write("b.yml", service("b"));
  folder.write(
      "deep/er/c.json",
      R"({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "c"}, "spec": {"clusterIP": "None"}})");
  folder.write("x.yaml/d.yaml", service("d"));  // a folder named like a file
  for (const char* name : {"README.md", ".hidden.yaml", ".git/e.yaml", "a.yaml~", "#a.yaml#", "f.yaml.bak"}) {
    folder.write(name, service("wrong"));
  }
  const Opened opened(folder);
  CHECK(opened.first.changed);
  CHECK(names(opened.first) == "a b c d");
  CHECK(problems(opened.first).empty());
  CHECK(opened.first.resources.services[0]->meta.origin()->file == "a.yaml");
}

TEST_CASE("a folder that is none is refused by name") {
  const auto missing = FolderSource::open("/nonexistent/config");
  REQUIRE(!missing);
  CHECK_THAT(missing.error().message, Catch::Contains("'/nonexistent/config'"));
  const auto file = FolderSource::open("/etc/passwd");
  REQUIRE(!file);
  CHECK_THAT(file.error().message, Catch::Contains("expected a folder"));
}

TEST_CASE("files written, replaced and removed are seen; the same content is no change") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  Opened opened(folder);
  FolderSource& source = *opened.source;
  CHECK_FALSE(readable(source, 0));
  CHECK_FALSE(source.load().changed);

  folder.write("b.yaml", service("b"));
  CHECK(await_names(source, "a b").changed);

  folder.write("b.yaml", service("b"));
  REQUIRE(readable(source, 10'000));
  CHECK_FALSE(source.load().changed);

  std::ofstream(folder / ".b.yaml.tmp") << service("b2");  // an editor: write aside, rename over
  fs::rename(folder / ".b.yaml.tmp", folder / "b.yaml");
  await_names(source, "a b2");

  folder.write("sub/c.yaml", service("c"));  // a new folder is watched as well
  await_names(source, "a b2 c");
  folder.write("sub/c.yaml", service("c2"));
  await_names(source, "a b2 c2");

  fs::remove(folder / "a.yaml");
  await_names(source, "b2 c2");
  fs::remove_all(folder / "sub");
  await_names(source, "b2");
}

TEST_CASE("two writes within the grain of a time stamp are both seen") {
  Folder folder;
  folder.write("a.yaml", service("a1"));
  Opened opened(folder);
  for (int i = 2; i < 9; ++i) {  // the same size every time
    folder.write("a.yaml", service("a" + std::to_string(i)));
    await_names(*opened.source, "a" + std::to_string(i));
  }
}

TEST_CASE("a Kubernetes ConfigMap mount: the ..data link is swapped") {
  Folder folder;
  const auto publish = [&](const std::string& version, const std::string& name) {
    fs::create_directory(folder / version);
    std::ofstream(folder / (version + "/mesh.yaml")) << service(name);
    fs::create_directory(folder / (version + "/sub"));
    std::ofstream(folder / (version + "/sub/more.yaml")) << service("more-" + name);
    fs::create_directory_symlink(version, folder / "..data_tmp");
    fs::rename(folder / "..data_tmp", folder / "..data");
  };
  publish("..2026_01", "v1");
  fs::create_symlink("..data/mesh.yaml", folder / "mesh.yaml");
  fs::create_directory_symlink("..data/sub", folder / "sub");
  Opened opened(folder);
  CHECK(names(opened.first) == "more-v1 v1");
  CHECK(problems(opened.first).empty());

  publish("..2026_02", "v2");
  fs::remove_all(folder / "..2026_01");
  CHECK(problems(await_names(*opened.source, "more-v2 v2")).empty());
}

TEST_CASE("links that leave the folder, lead nowhere or run in a circle") {
  Folder folder;
  std::ofstream(folder.base() / "outside.yaml") << service("outside");
  folder.write("a.yaml", service("a"));
  fs::create_symlink("../outside.yaml", folder / "leaves.yaml");
  fs::create_directory_symlink(".", folder / "circle");
  fs::create_symlink("a.yaml", folder / "twice.yaml");
  fs::create_symlink("nothing.yaml", folder / "dangling.yaml");
  Opened opened(folder);
  CHECK(names(opened.first) == "a");
  CHECK_THAT(problems(opened.first), Catch::Contains("leaves.yaml: a link that leaves the folder: not read"));
  CHECK_THAT(problems(opened.first), Catch::Contains("dangling.yaml: a link that leads nowhere: not read"));

  std::ofstream(folder / "nothing.yaml") << service("b");
  CHECK(problems(await_names(*opened.source, "a b")).find("dangling") == std::string::npos);
}

TEST_CASE("a link inside is told of changes of what it leads to") {
  Folder folder;
  folder.write(".store/real.yaml", service("a"));
  fs::create_symlink(".store/real.yaml", folder / "a.yaml");
  Opened opened(folder);
  CHECK(names(opened.first) == "a");
  folder.write(".store/real.yaml", service("b"));
  await_names(*opened.source, "b");
}

TEST_CASE("broken text: the last good content stays, and the rest follows") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  folder.write("b.yaml", service("b1"));
  Opened opened(folder);
  FolderSource& source = *opened.source;

  folder.write("a.yaml", "kind: [\n");
  auto loaded = await(source, [](const auto& now) { return !now.problems.empty(); });
  CHECK(names(loaded) == "a b1");
  CHECK(loaded.changed);
  CHECK_THAT(problems(loaded), Catch::StartsWith("a.yaml:") && Catch::Contains("not YAML") &&
                                   Catch::Contains("the last good one stays in force"));

  folder.write("b.yaml", service("b2"));
  loaded = await_names(source, "a b2");
  CHECK(loaded.problems.size() == 1);  // a.yaml's is still told

  folder.write("a.yaml", service("a2"));
  CHECK(await_names(source, "a2 b2").problems.empty());
}

TEST_CASE("one document broken: the others are new, its object stays") {
  Folder folder;
  folder.write("a.yaml", service("x", "10.96.0.1") + service("y", "10.96.0.2"));
  Opened opened(folder);
  folder.write("a.yaml", service("x", "10.96.0.9") + "kind: Service\n  metadata: {\n---\n" + service("z"));
  const auto loaded = await_names(*opened.source, "x y z");
  for (const auto& service : loaded.resources.services) {
    if (service->meta.name == "x") CHECK(service->cluster_ips[0].to_string() == "10.96.0.9");
    if (service->meta.name == "y") CHECK(service->cluster_ips[0].to_string() == "10.96.0.2");
  }
}

TEST_CASE("a document that does not say any more which object it is: all of its file stay") {
  Folder folder;
  folder.write("a.yaml", service("x", "10.96.0.1") + service("y", "10.96.0.2"));
  Opened opened(folder);
  std::string text = service("x", "10.96.0.9") + service("y", "10.96.0.2");
  text.replace(text.rfind("name: y"), 7, "nam: y");
  folder.write("a.yaml", text);
  const auto loaded = await(*opened.source, [](const auto& now) { return !now.problems.empty(); });
  CHECK(names(loaded) == "x y");
  CHECK_THAT(problems(loaded),
             Catch::Contains("metadata.name: missing: expected a value; until then the last good one"));
}

TEST_CASE("an object that has to be left out keeps its last good version; one that was removed goes") {
  Folder folder;
  folder.write("a.yaml", service("x", "10.96.0.1") + service("y", "10.96.0.2"));
  Opened opened(folder);
  folder.write("a.yaml", service("x", "10.96.0.300"));
  const auto loaded = await_names(*opened.source, "x");
  CHECK(loaded.resources.services[0]->cluster_ips[0].to_string() == "10.96.0.1");
  CHECK_THAT(
      problems(loaded),
      Catch::Equals("a.yaml:4: Service default/x: spec.clusterIP: '10.96.0.300': expected an IP address or "
                    "None; until then the last good one stays in force (object left out)\n"));
}

TEST_CASE("the same object in two files: the later name counts, the other is told") {
  Folder folder;
  folder.write("a.yaml", service("x", "10.96.0.1"));
  folder.write("b.yaml", service("x", "10.96.0.2"));
  const Opened opened(folder);
  REQUIRE(opened.first.resources.services.size() == 1);
  CHECK(opened.first.resources.services[0]->cluster_ips[0].to_string() == "10.96.0.2");
  CHECK_THAT(problems(opened.first),
             Catch::StartsWith("a.yaml:1: Service default/x: declared again at b.yaml:1"));
}

TEST_CASE("a file that may not be read any more keeps its content") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  fs::permissions(folder.base(), fs::perms::all);
  Opened opened(folder);
  const uid_t user = geteuid();
  fs::permissions(folder / "a.yaml", fs::perms::none);
  if (user == 0) REQUIRE(seteuid(65534) == 0);  // permissions do not hold for root
  const auto loaded = await(*opened.source, [](const auto& now) { return !now.problems.empty(); });
  if (user == 0) REQUIRE(seteuid(user) == 0);
  CHECK(names(loaded) == "a");
  CHECK_THAT(problems(loaded), Catch::Contains("a.yaml: open: ") && Catch::Contains("last good content"));
  fs::permissions(folder / "a.yaml", fs::perms::owner_read);
  CHECK(await(*opened.source, [](const auto& now) { return now.problems.empty(); }).changed);
}

TEST_CASE("what is no regular file is not waited for") {
  Folder folder;
  REQUIRE(mkfifo((folder / "pipe.yaml").c_str(), 0600) == 0);
  folder.write("a.yaml", service("a"));
  const Opened opened(folder);
  CHECK(names(opened.first) == "a");
  CHECK_THAT(problems(opened.first), Catch::Contains("pipe.yaml: not a regular file: not read"));
}

TEST_CASE(
    "the folder is removed and made again, renamed and swapped: what was there stays in force meanwhile") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  Opened opened(folder);
  FolderSource& source = *opened.source;

  fs::rename(folder.root(), folder.base() / "old");
  auto loaded = await(source, [](const auto& now) { return !now.problems.empty(); });
  CHECK(names(loaded) == "a");
  CHECK_THAT(problems(loaded), Catch::Contains("the folder is gone"));

  fs::create_directory(folder.base() / "new");
  std::ofstream(folder.base() / "new" / "b.yaml") << service("b");
  fs::rename(folder.base() / "new", folder.root());
  CHECK(await_names(source, "b").problems.empty());
  folder.write("b.yaml", service("b2"));
  await_names(source, "b2");
}

TEST_CASE("the folder is a link that is swapped") {
  Folder folder;
  const fs::path base = folder.base();
  for (const char* version : {"v1", "v2"}) {
    fs::create_directory(base / version);
    std::ofstream(base / version / "a.yaml") << service(version);
  }
  fs::create_directory_symlink("v1", base / "current");
  auto source = FolderSource::open(base / "current");
  REQUIRE(source);
  CHECK(names((*source)->load()) == "v1");
  fs::create_directory_symlink("v2", base / "next");
  fs::rename(base / "next", base / "current");
  await_names(**source, "v2");
}

TEST_CASE("the folder above goes too and comes back") {
  Folder folder;
  const fs::path deep = folder / "x/y/z";
  fs::create_directories(deep);
  std::ofstream(deep / "a.yaml") << service("a");
  auto source = FolderSource::open(deep);
  REQUIRE(source);
  CHECK(names((*source)->load()) == "a");
  fs::remove_all(folder / "x");
  CHECK(names(await(**source, [](const auto& now) { return !now.problems.empty(); })) == "a");
  fs::create_directories(deep);
  std::ofstream(deep / "b.yaml") << service("b");
  await_names(**source, "b");
}

TEST_CASE("files come and go under a reader: every load is one of the states that were") {
  Folder folder;
  folder.write("stays.yaml", service("stays"));
  Opened opened(folder);
  for (int i = 0; i < 50; ++i) {
    folder.write("flicker.yaml", service("flicker"));
    if (i % 2) opened.source->load();
    fs::remove(folder / "flicker.yaml");
    const std::string seen = names(opened.source->load());
    CHECK(seen == "stays");
  }
}

TEST_CASE("what is forgotten is read again with the next change") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  folder.write("b.yaml", service("b1"));
  Opened opened(folder);
  FolderSource& source = *opened.source;
  source.forget();
  auto loaded = source.load();
  CHECK_FALSE(loaded.changed);
  CHECK(names(loaded).empty());

  folder.write("b.yaml", service("b2"));
  loaded = await_names(source, "a b2");
  CHECK(loaded.changed);
  CHECK(loaded.complete);
}

TEST_CASE("what is forgotten and broken by the next change keeps everything from changing") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  folder.write("b.yaml", service("b1"));
  Opened opened(folder);
  FolderSource& source = *opened.source;
  source.forget();

  folder.write("a.yaml", "kind: [\n");
  auto loaded = await(source, [](const auto& now) { return !now.problems.empty(); });
  CHECK_FALSE(loaded.complete);
  folder.write("b.yaml", service("b2"));
  loaded = await(source, [](const auto& now) { return now.changed; });
  CHECK_FALSE(loaded.complete);

  folder.write("a.yaml", service("a2"));
  loaded = await_names(source, "a2 b2");
  CHECK(loaded.complete);
  CHECK(loaded.problems.empty());
}

TEST_CASE("what nobody knows the content of is said, until it is known or gone") {
  Folder folder;
  folder.write("good.yaml", service("good"));
  folder.write("bad.yaml", "kind: [\n");
  Opened opened(folder);
  CHECK(opened.first.unreadable.starts_with("bad.yaml:"));
  folder.write("bad.yaml", service("bad"));
  CHECK(await_names(*opened.source, "bad good").unreadable.empty());
  // An object that is left out is known by its name.
  folder.write("bad.yaml",
               "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {clusterIP: nowhere}\n");
  auto loaded = await(*opened.source, [](const auto& now) { return !now.problems.empty(); });
  CHECK(loaded.unreadable.empty());
  // No name, or a kind of a version that nobody reads here.
  folder.write("bad.yaml", "apiVersion: v9\nkind: Service\nmetadata: {name: bad}\n");
  loaded = await(*opened.source, [](const auto& now) { return !now.unreadable.empty(); });
  CHECK(loaded.unreadable.starts_with("bad.yaml:"));
  fs::remove(folder / "bad.yaml");
  CHECK(await_names(*opened.source, "good").unreadable.empty());
  fs::create_symlink("/nowhere.yaml", folder / "link.yaml");
  loaded = await(*opened.source, [](const auto& now) { return !now.problems.empty(); });
  CHECK(loaded.unreadable.starts_with("link.yaml:"));
}

TEST_CASE("everything is read again when asked, though no watch tells and no time of a file changed") {
  Folder folder, elsewhere;
  const fs::path link = elsewhere / "link.yaml";
  folder.write("a.yaml", service("a", "10.96.0.1"));
  fs::create_hard_link(folder / "a.yaml", link);
  Opened opened(folder);
  while (readable(*opened.source, 200)) opened.source->load();  // the link count changed, which is told
  // Through another name of the file, to which nobody listens.
  std::ofstream(link) << service("b", "10.96.0.2");
  CHECK_FALSE(readable(*opened.source, 200));
  CHECK(names(opened.source->load()) == "a");
  const auto everything = opened.source->load(FolderSource::Look::kEverything);
  CHECK(everything.changed);
  CHECK(names(everything) == "b");
  CHECK_FALSE(opened.source->load(FolderSource::Look::kEverything).changed);

  opened.source->forget();
  CHECK_FALSE(opened.source->load(FolderSource::Look::kEverything).changed);
  std::ofstream(link) << service("c", "10.96.0.3");
  CHECK(names(opened.source->load(FolderSource::Look::kEverything)) == "c");
}

// ---- what is in the folder that must not be in one ----

TEST_CASE("pipes, sockets, devices, folders and circles that are called like manifests stall nobody") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  REQUIRE(mkfifo((folder / "pipe.yaml").c_str(), 0600) == 0);
  fs::create_directory(folder / "folder.yaml");
  fs::create_directory_symlink("circle-b", folder / "circle-a");
  fs::create_directory_symlink("circle-a", folder / "circle-b");
  fs::create_symlink("self.yaml", folder / "self.yaml");
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder / "socket.yaml").native().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const bool device = mknod((folder / "zero.yaml").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0;  // as root

  const Opened opened(folder);
  CHECK(names(opened.first) == "a");
  for (const char* name : {"pipe.yaml", "socket.yaml"})
    CHECK_THAT(problems(opened.first), Catch::Contains(std::string(name) + ": not a regular file: not read"));
  if (device) CHECK_THAT(problems(opened.first), Catch::Contains("zero.yaml: not a regular file: not read"));
  CHECK_THAT(problems(opened.first), Catch::Contains("self.yaml: cannot be read: "));
}

TEST_CASE("a name of any bytes is one line of text in a message") {
  Folder folder;
  folder.write("a\n2026-01-01 forged\x1b[31m.yaml", "kind: [\n");
  folder.write("caf\xe9.yaml", "kind: [\n");
  const Opened opened(folder);
  CHECK(opened.first.problem_count == 2);
  for (const ReadProblem& problem : opened.first.problems) {
    const std::string text = problem.to_string();
    CHECK(text.find_first_of("\n\x1b\xe9") == std::string::npos);
  }
  CHECK_THAT(problems(opened.first), Catch::Contains("a 2026-01-01 forged [31m.yaml:"));
}

TEST_CASE("three bytes of no character: an error with its line, and what was in force stays") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  Opened opened(folder);
  CHECK(opened.first.unreadable.empty());
  folder.write("a.yaml", "\xed\xa0\x80");
  const auto loaded = await(*opened.source, [](const auto& now) { return !now.problems.empty(); });
  CHECK(names(loaded) == "a");
  CHECK_THAT(problems(loaded), Catch::StartsWith("a.yaml:1: byte 0xed: expected UTF-8 text"));
  CHECK_FALSE(loaded.unreadable.empty());
}

// ---- what is not known ----

namespace {

// The objects that were left out and are known in no version.
std::string unknown(const FolderSource::Loaded& loaded) {
  std::string out;
  for (const ReadProblem& problem : loaded.problems)
    if (problem.object_dropped) out += (out.empty() ? "" : ", ") + problem.object;
  return out;
}

}  // namespace

TEST_CASE("a first reading says what it could not find out") {
  const auto first = [](const std::string& text) {
    Folder folder;
    folder.write("a.yaml", text);
    return Opened(folder).first;
  };
  CHECK(first(service("a")).unreadable.empty());
  CHECK(unknown(first(service("a"))).empty());
  CHECK_THAT(first("\xed\xa0\x80").unreadable, Catch::StartsWith("a.yaml:1: byte 0xed"));
  CHECK_THAT(first(service("a") + "kind: [\n").unreadable, Catch::StartsWith("a.yaml:"));
  CHECK_THAT(first("apiVersion: v1\nkind: Service\nmetadata: {nam: a}\n").unreadable,
             Catch::StartsWith("a.yaml:3: ") && Catch::Contains("metadata.name"));
  const auto broken = first(service("a", "10.96.0.300") + service("b"));
  CHECK(broken.unreadable.empty());
  CHECK(unknown(broken) == "Service default/a");
  const auto mesh = first(
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
      "data:\n  mesh: |\n    outboundTrafficPolicy:\n    \tmode: REGISTRY_ONLY\n");
  CHECK(unknown(mesh) == "ConfigMap istio-system/istio");

  Folder links;
  fs::create_symlink("nothing.yaml", links / "a.yaml");
  CHECK(Opened(links).first.unreadable == "a.yaml: cannot be read");
  Folder unrelated;
  fs::create_symlink("nothing", unrelated / "README");
  CHECK(Opened(unrelated).first.unreadable.empty());
}

TEST_CASE("a folder below that cannot be listed, or whose link leads nowhere, keeps what was in it") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  folder.write("sub/b.yaml", service("b"));
  folder.write(".store/c.yaml", service("c"));
  fs::create_directory_symlink(".store", folder / "linked");
  fs::permissions(folder.base(), fs::perms::all);
  fs::permissions(folder.root(), fs::perms::all);
  Opened opened(folder);
  CHECK(names(opened.first) == "a b c");

  fs::rename(folder / ".store", folder / ".elsewhere");
  auto loaded = await(*opened.source, [](const auto& now) { return !now.problems.empty(); });
  CHECK(names(loaded) == "a b c");
  CHECK_THAT(problems(loaded), Catch::Contains("linked: cannot be read; until then its last good content"));
  CHECK(loaded.unreadable == "linked: cannot be read");
  fs::rename(folder / ".elsewhere", folder / ".store");
  await(*opened.source, [](const auto& now) { return now.problems.empty(); });

  const uid_t user = geteuid();
  fs::permissions(folder / "sub", fs::perms::none);
  if (user == 0) REQUIRE(seteuid(65534) == 0);  // permissions do not hold for root
  loaded = await(*opened.source, [](const auto& now) { return !now.problems.empty(); });
  if (user == 0) REQUIRE(seteuid(user) == 0);
  CHECK(names(loaded) == "a b c");
  CHECK_THAT(problems(loaded), Catch::Contains("sub/: cannot be listed: "));
  fs::permissions(folder / "sub", fs::perms::owner_all);
}

TEST_CASE(
    "problems beyond the first thousand are counted, and what they leave out keeps its last good version") {
  Folder folder;
  std::string many;
  for (int i = 0; i < 3000; ++i) many += "just text\n---\n";
  folder.write("a.yaml", service("a"));
  Opened opened(folder);
  folder.write("a.yaml", many + service("a", "10.96.0.300"));
  const auto loaded = await(*opened.source, [](const auto& now) { return !now.problems.empty(); });
  CHECK(loaded.problems.size() == kMaxProblems);
  CHECK(loaded.problem_count == 3001);
  CHECK(names(loaded) == "a");
  CHECK(unknown(loaded).empty());
  CHECK(loaded.resources.services.at(0)->cluster_ips.at(0).to_string() == "10.96.0.1");
}

TEST_CASE("an object that is left out is named, however many problems there are before it") {
  Folder folder;
  std::string many;
  for (int i = 0; i < 3000; ++i) many += "just text\n---\n";
  folder.write("a.yaml", many + service("a", "10.96.0.300"));
  const auto loaded = Opened(folder).first;
  CHECK(loaded.problems.size() == kMaxProblems + 1);
  CHECK(unknown(loaded) == "Service default/a");
}

// ---- bounds ----

namespace {

// Small objects, all of one name.
std::string duplicates(size_t count) {
  std::string text, one = service("same");
  text.reserve(count * one.size());
  for (size_t i = 0; i < count; ++i) text += one;
  return text;
}

std::string only_problem(const FolderSource::Loaded& loaded, const Folder& folder) {
  std::string text = problems(loaded);
  CHECK(loaded.problem_count == 1);
  const size_t at = text.find(folder.root().native() + ": ");
  return at == 0 ? text.substr(folder.root().native().size() + 2) : text;
}

}  // namespace

TEST_CASE("more objects than the bound: nothing changes, and what to do is said") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  Opened opened(folder);
  folder.write("b.yaml", duplicates(kMaxObjects));
  auto loaded = await(*opened.source, [](const auto& now) { return !now.complete; });
  CHECK(names(loaded).empty());
  CHECK(only_problem(loaded, folder) ==
        "b.yaml: more than 100000 objects in the folder; nothing changes until it is smaller: expected what "
        "concerns this pod's part of the mesh\n");
  folder.write("a.yaml", service("a2"));  // is not in force before the folder fits again
  folder.write("b.yaml", service("b"));
  loaded = await(*opened.source, [](const auto& now) { return now.complete; });
  CHECK(names(loaded) == "a2 b");
  CHECK(loaded.changed);
  CHECK(loaded.problems.empty());
}

TEST_CASE("more bytes than the bound, in one file and in all of them") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  const auto grow = [&](const std::string& name, size_t size) {
    std::string text = service(name);
    text.resize(size, '\n');
    folder.write(name, text);
  };
  grow("big.yaml", yaml::kMaxText + 1);
  Opened opened(folder);
  CHECK(opened.first.complete);  // the other files are as they are; this one is not known
  CHECK_THAT(opened.first.unreadable, Catch::StartsWith("big.yaml: 33554433 bytes"));
  CHECK(names(opened.first) == "a");
  CHECK(problems(opened.first) == "big.yaml: 33554433 bytes: expected at most 33554432\n");

  grow("big.yaml", yaml::kMaxText);
  grow("c.yaml", yaml::kMaxText);
  const auto loaded = await(*opened.source, [](const auto& now) { return !now.complete; });
  CHECK(only_problem(loaded, folder) ==
        "c.yaml: more than 67108864 bytes in the files of the folder; nothing changes until it is smaller: "
        "expected what concerns this pod's part of the mesh\n");
}

TEST_CASE("more names or files than the bound: told, nothing changes") {
  Folder folder;
  folder.write("a.yaml", service("a"));
  Opened opened(folder);
  for (size_t i = 0; i <= kMaxManifestFiles; ++i) {
    const Fd file(
        open((folder / fmt::format("{:05}.yaml", i)).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    REQUIRE(file);
  }
  auto loaded = await(*opened.source, [](const auto& now) { return !now.complete; });
  CHECK(only_problem(loaded, folder) ==
        "more than 50000 files: expected what concerns this pod's part of the mesh, or fewer and bigger "
        "files\n");
  for (size_t i = 0; i <= kMaxFolderEntries; ++i)  // called like no manifests
    REQUIRE(symlink("a.yaml", (folder / fmt::format("{}.txt", i)).c_str()) == 0);
  loaded = await(*opened.source, [](const auto& now) {
    return !now.complete && now.problems.at(0).text.starts_with("more than 100000 entries");
  });
}

TEST_CASE("a folder of duplicates, changed again and again, keeps the memory of one") {
  Folder folder;
  Opened opened(folder);
  size_t after_first = 0;
  for (int i = 0; i < 50; ++i) {
    // Broken in a new way each time, so that all that was there before stays in force.
    folder.write("a.yaml", duplicates(2000) + service("own-" + std::to_string(i)) + "kind: [\n");
    const auto loaded = await(
        *opened.source, [&](const auto& now) { return names(now).find("own-" + std::to_string(i)) + 1; });
    CHECK(loaded.problems.size() <= kMaxProblems);
    CHECK(loaded.problem_count >= 2000);
    if (i == 5) after_first = mallinfo2().uordblks;
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(mallinfo2().uordblks < after_first + (1 << 20));
#endif
}

TEST_CASE("a file that is written while it is read is not taken by half") {
  Folder folder;
  // Half of it is YAML, too.
  const std::string whole = service("first") + std::string(1 << 20, '\n') + service("last");
  folder.write("a.yaml", whole);
  Opened opened(folder);
  std::atomic<bool> stop = false;
  std::thread writer([&] {  // in place and in small steps, as a slow copy does, over and over
    while (!stop) {
      const Fd file(open((folder / "a.yaml").c_str(), O_WRONLY | O_CLOEXEC));
      for (size_t at = 0; at < whole.size() && !stop; at += 4096)
        (void)!pwrite(file.get(), whole.data() + at, std::min<size_t>(4096, whole.size() - at),
                      static_cast<off_t>(at));
    }
  });
  int refused = 0;
  for (int i = 0; i < 1000 && refused == 0; ++i) {
    const auto loaded = opened.source->load(FolderSource::Look::kEverything);
    CHECK(names(loaded) == "first last");
    refused += problems(loaded) ==
               "a.yaml: it changed while it was read; until then its last good content stays in force\n";
  }
  stop = true;
  writer.join();
  CHECK(refused == 1);
  CHECK(opened.source->load(FolderSource::Look::kEverything).problems.empty());
}
