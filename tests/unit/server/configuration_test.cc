// What becomes of what a source gives: published, refused, taken. The source is the test's own.
#include "server/configuration.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "config/source/resource_source.h"
#include "event/loop.h"

using namespace sockmesh;
using namespace sockmesh::server;
using config::ResourceSource;

namespace {

class Given final : public ResourceSource {
 public:
  explicit Given(std::vector<std::string>& log, Loaded& next) : log_(log), next_(next) {
    REQUIRE(pipe2(pipe_, O_CLOEXEC) == 0);
  }
  ~Given() override {
    for (const int end : pipe_) close(end);
  }
  int watch_fd() const override { return pipe_[0]; }
  std::chrono::milliseconds settle_time() const override { return {}; }
  Loaded load(Look look) override {
    log_.emplace_back(look == Look::kEverything ? "load all" : "load");
    return next_;
  }
  void taken() override { log_.emplace_back("taken"); }

 private:
  std::vector<std::string>& log_;
  Loaded& next_;
  int pipe_[2];
};

ResourceSource::Loaded service(const std::string& name) {
  ResourceSource::Loaded loaded;
  const std::string manifest = fmt::format(
      "apiVersion: v1\nkind: Service\nmetadata: {{name: {}, namespace: shop}}\n"
      "spec: {{clusterIP: 10.96.0.1, ports: [{{name: tcp, port: 9000}}]}}\n",
      name);
  config::read_manifest(manifest, "mesh.yaml", loaded.resources);
  loaded.changed = true;
  return loaded;
}

struct World {
  World() {
    const Origin origin{"test", "nowhere", [this]() -> Result<std::unique_ptr<ResourceSource>> {
                          if (!there) return fail("nowhere is not there");
                          return std::unique_ptr<ResourceSource>(std::make_unique<Given>(log, next));
                        }};
    configuration = std::make_unique<Configuration>(
        *loop, origin, config::ProxyIdentity{}, [this](const model::SnapshotPtr& snapshot) {
          log.push_back(fmt::format("generation {}", snapshot->generation));
        });
  }
  std::vector<std::string> said() { return std::exchange(log, {}); }

  std::unique_ptr<event::Loop> loop = std::move(event::Loop::create(event::Backend::kEpoll).value());
  bool there = true;
  ResourceSource::Loaded next;
  std::vector<std::string> log;
  std::unique_ptr<Configuration> configuration;
};

using Log = std::vector<std::string>;

}  // namespace

TEST_CASE("what is admitted is taken and published, in one generation after the other") {
  World world;
  world.next = service("one");
  world.next.kept = GENERATE(true, false);
  world.configuration->start();
  CHECK(world.said() == Log{"load", "taken", "generation 1"});
  const auto status = world.configuration->status();
  CHECK(status.source == "test");
  CHECK(status.location == "nowhere");
  CHECK_FALSE(status.refused);

  const bool kept = std::exchange(world.next, service("two")).kept;
  world.next.kept = kept;
  world.configuration->reload();
  CHECK(world.said() == Log{"load all", "taken", "generation 2"});
  world.next.changed = false;
  world.configuration->reload();
  CHECK(world.said() == Log{"load all"});
}

TEST_CASE("what is unusable or refused is not taken, and said") {
  World world;  // with no object at all
  world.configuration->start();
  CHECK(world.said() == Log{"load"});
  CHECK(world.configuration->status().refused);

  world.next = service("one");
  world.configuration->reload();
  CHECK(world.said() == Log{"load all", "taken", "generation 1"});
  world.next = {};
  world.next.unusable = "half of it is not there";
  world.configuration->reload();
  CHECK(world.said() == Log{"load all"});
  CHECK(world.configuration->status().refused);
  CHECK(world.configuration->status().last_error == "half of it is not there");
  world.next = service("two");
  world.configuration->reload();
  CHECK(world.said() == Log{"load all", "taken", "generation 2"});
  CHECK_FALSE(world.configuration->status().refused);
}

TEST_CASE("a source that is not there yet is opened when it is asked for again") {
  World world;
  world.there = false;
  world.next = service("one");
  world.configuration->start();
  CHECK(world.said().empty());
  CHECK(world.configuration->status().last_error == "nowhere is not there");
  world.there = true;
  world.configuration->reload();
  CHECK(world.said() == Log{"load", "taken", "generation 1"});
}
