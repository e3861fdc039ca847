// What becomes of what a source gives: published, refused, taken. The source is the test's own.
#include "server/configuration.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <sstream>

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

ResourceSource::Loaded with_pod(ResourceSource::Loaded loaded, const std::string& name) {
  const std::string manifest =
      fmt::format("apiVersion: v1\nkind: Pod\nmetadata: {{name: {}, namespace: shop}}\n", name);
  config::read_manifest(manifest, "pods.yaml", loaded.resources);
  return loaded;
}

// It is left out, and there is no last good version of it.
ResourceSource::Loaded with_broken_pod(ResourceSource::Loaded loaded, const std::string& name) {
  loaded.problems.push_back(
      {"pods.yaml", 1, "Pod shop/" + name, "metadata.labels", "'1': expected a map", true});
  loaded.problem_count = 1;
  return loaded;
}

config::ProxyIdentity pod(const std::string& name) {
  config::ProxyIdentity proxy;
  proxy.pod = name;
  proxy.ns = "shop";
  return proxy;
}

// What is logged while it lives.
class Logged {
 public:
  Logged() { spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink_)); }
  ~Logged() { spdlog::set_default_logger(before_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::sinks::sink> sink_ = std::make_shared<spdlog::sinks::ostream_sink_st>(text_);
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

struct World {
  explicit World(const std::vector<config::ProxyIdentity>& proxies = {config::ProxyIdentity{}}) {
    const Origin origin{"test", "nowhere", [this]() -> Result<std::unique_ptr<ResourceSource>> {
                          if (!there) return fail("nowhere is not there");
                          return std::unique_ptr<ResourceSource>(std::make_unique<Given>(log, next));
                        }};
    std::vector<Subscriber> subscribers;
    for (const auto& proxy : proxies)
      subscribers.push_back({proxy, [this, whose = proxy.pod](const model::SnapshotPtr& snapshot) {
                               log.push_back(fmt::format("{}{}generation {}", whose,
                                                         whose.empty() ? "" : ": ", snapshot->generation));
                             }});
    configuration = std::make_unique<Configuration>(*loop, origin, std::move(subscribers));
  }
  std::vector<std::string> reload(ResourceSource::Loaded what) {
    next = std::move(what);
    configuration->reload();
    return said();
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

TEST_CASE("one source serves several subscribers, each in its own generations") {
  World world({pod("one"), pod("two")});
  world.next = service("tcp");
  world.configuration->start();
  CHECK(world.said() == Log{"load", "taken", "one: generation 1", "two: generation 1"});
  CHECK(world.reload(service("other")) == Log{"load all", "taken", "one: generation 2", "two: generation 2"});
  world.next.unusable = "half of it is not there";
  CHECK(world.reload(world.next) == Log{"load all"});
  CHECK(world.configuration->status().refused);
}

TEST_CASE("what is refused for one subscriber is published to the other") {
  World world({pod("one"), pod("two")});
  const bool kept = GENERATE(true, false);
  const auto given = [kept](ResourceSource::Loaded loaded) {
    loaded.kept = kept;
    return loaded;
  };
  world.next = given(with_broken_pod(service("a"), "two"));
  world.configuration->start();
  CHECK(world.said() == Log{"load", "taken", "one: generation 1"});
  CHECK(world.configuration->status().refused);
  const std::string why = world.configuration->status().last_error;
  CHECK(why.find("Pod shop/two") != std::string::npos);

  CHECK(world.reload(given(with_broken_pod(service("b"), "two"))) ==
        Log{"load all", "taken", "one: generation 2"});
  // Nothing changed, and what was taken may have been let go of.
  ResourceSource::Loaded same = given({});
  same.changed = false;
  same.problems = world.next.problems;
  CHECK(world.reload(same) == Log{"load all"});
  CHECK(world.configuration->status().last_error == why);

  CHECK(world.reload(given(with_pod(service("c"), "two"))) ==
        Log{"load all", "taken", "one: generation 3", "two: generation 1"});
  CHECK_FALSE(world.configuration->status().refused);
  // With something in force: it keeps that.
  for (const int generation : {4, 5}) {
    CHECK(world.reload(given(with_broken_pod(service(fmt::format("d{}", generation)), "two"))) ==
          Log{"load all", "taken", fmt::format("one: generation {}", generation)});
    CHECK(world.configuration->status().refused);
  }
  CHECK(world.reload(given(with_pod(service("e"), "two"))) ==
        Log{"load all", "taken", "one: generation 6", "two: generation 2"});
}

TEST_CASE("a line of the log says whom something is refused for, unless it is everybody") {
  const Logged logged;
  World world({pod("one"), pod("two"), pod("three")});
  world.next = with_broken_pod(service("a"), "two");
  world.configuration->start();
  CHECK(logged.text().find(
            "configuration refused for shop/two, connections are held: pods.yaml:1: Pod shop/two") !=
        std::string::npos);
  CHECK(logged.text().find("configuration for 3 pods, another version for 2, compiled in ") !=
        std::string::npos);
  ResourceSource::Loaded half = with_pod(service("b"), "two");
  half.unusable = "half of it is not there";
  world.reload(with_pod(service("a"), "two"));
  world.reload(half);
  CHECK(logged.text().find("configuration refused, what is in force stays: half of it is not there") !=
        std::string::npos);
}

TEST_CASE("of one subscriber the log says what was compiled for it") {
  const Logged logged;
  World world;
  world.next = service("a");
  world.configuration->start();
  CHECK(logged.text().find("configuration 1 (version ") != std::string::npos);
  CHECK(logged.text().find("): 3 listeners, 4 clusters, 0 findings, compiled in ") != std::string::npos);
}
