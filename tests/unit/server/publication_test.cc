#include "server/publication.h"

#include <catch2/catch.hpp>

using namespace sockmesh;
using namespace sockmesh::server;

TEST_CASE("a snapshot goes to each observer in the order in which they were added, and then is told") {
  pod::Pod pod{config::ProxyIdentity{}};
  Publication publication(pod);
  CHECK(pod.snapshot() == nullptr);
  std::vector<std::pair<int, model::SnapshotPtr>> seen;
  for (const int number : {1, 2, 3})
    publication.add([&, number](const model::SnapshotPtr& now) {
      CHECK(pod.snapshot() != now);  // whoever asks sees what all act by
      seen.emplace_back(number, now);
    });
  const auto first = std::make_shared<const model::Snapshot>();
  const auto second = std::make_shared<const model::Snapshot>();
  publication.publish(first);
  CHECK(pod.snapshot() == first);
  publication.publish(second);
  CHECK(pod.snapshot() == second);
  CHECK(seen == std::vector<std::pair<int, model::SnapshotPtr>>{
                    {1, first}, {2, first}, {3, first}, {1, second}, {2, second}, {3, second}});
}
