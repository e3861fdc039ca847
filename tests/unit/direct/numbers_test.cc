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
  numbers.end_generation(2);
  CHECK(numbers.hold("c") != a);  // the tables of the generation before may still be asked
  numbers.end_generation(3);
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
  numbers.end_generation(1);
  numbers.end_generation(2);
  CHECK(numbers.hold("x") == a);
  CHECK(numbers.hold("y") != a);
}

TEST_CASE("a number is nobody else's while a flow remembers it") {
  Numbers<std::string> numbers;
  const uint32_t a = numbers.hold("a");
  numbers.end_generation(1);
  numbers.let_go("a");  // while 5 is made: 4 was the last that had it
  numbers.end_generation(5, {1, {}});
  numbers.end_generation(6, {4, {}});  // whoever was led by 4 was not looked for yet
  CHECK(numbers.hold("b") != a);
  numbers.end_generation(7, {5, {a}});
  CHECK(numbers.hold("c") != a);
  numbers.end_generation(8, {7, {}});
  CHECK(numbers.hold("d") == a);
}

TEST_CASE("numbers that flows of an earlier process remember are nobody's until these have ended") {
  Numbers<std::string> numbers({0, 2});
  CHECK(numbers.hold("a") == 1);
  CHECK(numbers.hold("b") == 3);
  numbers.end_generation(8, {7, {2}});
  CHECK(numbers.hold("c") == 0);
  CHECK(numbers.hold("d") == 4);
  numbers.end_generation(9, {8, {}});
  CHECK(numbers.hold("e") == 2);
}
