// A real folder, changed the ways people, editors and Kubernetes change one; each change is awaited on the
// watch.
#include "config/source/folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "folder_world.h"

using namespace sockmesh;
using namespace sockmesh::config;

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

namespace {

// Files a and b were read, and are not kept in memory.
struct Forgotten : Opened {
  explicit Forgotten(const Folder& folder) : Opened(filled(folder), 0) { source->taken(); }
  static const Folder& filled(const Folder& folder) {
    folder.write("a.yaml", service("a"));
    folder.write("b.yaml", service("b1"));
    return folder;
  }
};

}  // namespace

TEST_CASE("what is forgotten is read again with the next change") {
  const Folder folder;
  const Forgotten opened(folder);
  FolderSource& source = *opened.source;
  auto loaded = source.load();
  CHECK_FALSE(loaded.changed);
  CHECK(names(loaded).empty());

  folder.write("b.yaml", service("b2"));
  loaded = await_names(source, "a b2");
  CHECK(loaded.changed);
  CHECK(loaded.unusable.empty());
}

TEST_CASE("what is forgotten and broken by the next change keeps everything from changing") {
  const Folder folder;
  const Forgotten opened(folder);
  FolderSource& source = *opened.source;

  folder.write("a.yaml", "kind: [\n");
  auto loaded = await(source, [](const auto& now) { return !now.problems.empty(); });
  CHECK_FALSE(loaded.unusable.empty());
  folder.write("b.yaml", service("b2"));
  loaded = await(source, [](const auto& now) { return now.changed; });
  CHECK_FALSE(loaded.unusable.empty());

  folder.write("a.yaml", service("a2"));
  loaded = await_names(source, "a2 b2");
  CHECK(loaded.unusable.empty());
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

namespace {

// A file with another name elsewhere, through which it can change without anybody being told.
struct Linked {
  Linked() {
    folder.write("a.yaml", service("a", "10.96.0.1"));
    fs::create_hard_link(folder / "a.yaml", elsewhere / "link.yaml");
  }
  void change(const std::string& manifest) { std::ofstream(elsewhere / "link.yaml") << manifest; }
  Folder folder, elsewhere;
};

}  // namespace

TEST_CASE("everything is read again when asked, though no watch tells and no time of a file changed") {
  Linked files;
  Opened opened(files.folder);
  files.change(service("b", "10.96.0.2"));
  CHECK_FALSE(readable(*opened.source, 200));
  CHECK(names(opened.source->load()) == "a");
  const auto everything = opened.source->load(FolderSource::Look::kEverything);
  CHECK(everything.changed);
  CHECK(names(everything) == "b");
  CHECK_FALSE(opened.source->load(FolderSource::Look::kEverything).changed);
}

TEST_CASE("of what is forgotten everything is read again when asked, and is news when it differs") {
  Linked files;
  Opened opened(files.folder, 0);
  opened.source->taken();
  CHECK_FALSE(opened.source->load(FolderSource::Look::kEverything).changed);
  files.change(service("c", "10.96.0.3"));
  CHECK(names(opened.source->load(FolderSource::Look::kEverything)) == "c");
}

// ---- what is in the folder that must not be in one ----
