#include "base/text.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

using namespace sockmesh;

TEST_CASE("a text reads like its string") {
  const Text text = "outbound|80||a.b";
  CHECK(text == "outbound|80||a.b");
  CHECK(text != std::string("other"));
  CHECK(text.starts_with("outbound"));
  CHECK(text + "!" == "outbound|80||a.b!");
  CHECK("<" + text == "<outbound|80||a.b");
  CHECK(fmt::format("{:>4}", Text("x")) == "   x");
  CHECK(std::string(text).size() == text.size());
  CHECK(Text().empty());
  CHECK(Text("") == Text());
}

TEST_CASE("texts order by their characters") {
  CHECK(Text("a") < Text("b"));
  CHECK(Text("a") < "b");
  CHECK(Text() < Text("a"));
}

TEST_CASE("equal texts are one, however they come about and go") {
  std::vector<Text> texts;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 500; ++i) texts.emplace_back("text " + std::to_string(i));
    std::unordered_set<Text> once(texts.begin(), texts.end());
    CHECK(once.size() == 500);
    texts.erase(texts.begin(), texts.begin() + 250);
  }
  for (const Text& text : texts) CHECK(&text.str() == &Text(text.str()).str());
}

TEST_CASE("threads may make and drop the same texts") {
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 20'000; ++i) {
        const Text made("shared " + std::to_string(i % 7));
        const Text copy = made;
        if (copy != made) std::abort();
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(Text("shared 1") == "shared 1");
}
