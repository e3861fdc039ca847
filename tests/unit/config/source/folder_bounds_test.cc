// What should not be in a folder of manifests, and more of everything than is read: nobody is stalled, memory
// is bounded, what was in force stays.

#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "base/fd.h"
#include "config/manifest/yaml.h"
#include "config/source/folder_scan.h"
#include "folder_world.h"
#include "test_support/sanitized.h"

using namespace sockmesh;
using namespace sockmesh::config;

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
  auto loaded = await(*opened.source, [](const auto& now) { return !now.unusable.empty(); });
  CHECK(names(loaded).empty());
  CHECK(only_problem(loaded, folder) ==
        "b.yaml: more than 100000 objects in the folder; nothing changes until it is smaller: expected what "
        "concerns this pod's part of the mesh\n");
  folder.write("a.yaml", service("a2"));  // is not in force before the folder fits again
  folder.write("b.yaml", service("b"));
  loaded = await(*opened.source, [](const auto& now) { return now.unusable.empty(); });
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
  CHECK(opened.first.unusable.empty());  // the other files are as they are; this one is not known
  CHECK_THAT(opened.first.unreadable, Catch::StartsWith("big.yaml: 33554433 bytes"));
  CHECK(names(opened.first) == "a");
  CHECK(problems(opened.first) == "big.yaml: 33554433 bytes: expected at most 33554432\n");

  grow("big.yaml", yaml::kMaxText);
  grow("c.yaml", yaml::kMaxText);
  const auto loaded = await(*opened.source, [](const auto& now) { return !now.unusable.empty(); });
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
  auto loaded = await(*opened.source, [](const auto& now) { return !now.unusable.empty(); });
  CHECK(only_problem(loaded, folder) ==
        "more than 50000 files: expected what concerns this pod's part of the mesh, or fewer and bigger "
        "files\n");
  for (size_t i = 0; i <= kMaxFolderEntries; ++i)  // called like no manifests
    REQUIRE(symlink("a.yaml", (folder / fmt::format("{}.txt", i)).c_str()) == 0);
  loaded = await(*opened.source, [](const auto& now) {
    return !now.unusable.empty() && now.problems.at(0).text.starts_with("more than 100000 entries");
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
  if (!test::sanitized()) CHECK(mallinfo2().uordblks < after_first + (1 << 20));
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
