#include "direct/numbers.h"

#include <catch2/catch.hpp>
#include <string>

using sockmesh::direct::Numbers;

TEST_CASE("who is held keeps its number, and another one gets it a generation after it was given back") {
  Numbers<std::string> numbers;
  const uint32_t a = numbers.hold("a"), b = numbers.hold("b");
  CHECK(a != b);
  CHECK(numbers.hold("a") == a);
  numbers.let_go("a");
  CHECK(numbers.hold("a") == a);  // still held once
  numbers.let_go("a");
  numbers.let_go("a");
  numbers.end_generation();
  CHECK(numbers.hold("c") != a);  // the tables of the generation before may still be asked
  numbers.end_generation();
  CHECK(numbers.hold("d") == a);
  CHECK(numbers.hold("b") == b);
  CHECK(numbers.held() == 3);
  CHECK(numbers.bound() == 3);
}

TEST_CASE("a number that is never given back twice is given once") {
  Numbers<std::string> numbers;
  const uint32_t a = numbers.hold("a");
  numbers.let_go("a");
  numbers.let_go("a");
  numbers.end_generation();
  numbers.end_generation();
  CHECK(numbers.hold("x") == a);
  CHECK(numbers.hold("y") != a);
}
