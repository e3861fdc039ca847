#include "ctl/json_text.h"

#include <catch2/catch.hpp>

namespace sockmesh::ctl {

TEST_CASE("YAML: block style, sorted keys, lists at the level of their key") {
  const Json value =
      Json::parse(R"([{"name":"a","list":[1,"two",[3,4],{"k":"v","z":{}}],"empty":[],"none":null}])");
  CHECK(yaml_text(value) ==
        "- empty: []\n"
        "  list:\n"
        "  - 1\n"
        "  - two\n"
        "  - - 3\n"
        "    - 4\n"
        "  - k: v\n"
        "    z: {}\n"
        "  name: a\n"
        "  none: null\n");
  CHECK(yaml_text(Json::array()) == "[]\n");
}

TEST_CASE("YAML: text that would read as something else is quoted") {
  const auto one = [](const char* text) { return yaml_text(Json(text)); };
  CHECK(one("plain text") == "plain text\n");
  CHECK(one("outbound|9000||a.b") == "outbound|9000||a.b\n");
  CHECK(one("10.0.0.1") == "\"10.0.0.1\"\n");
  for (const char* text : {"", "true", "No", "null", "1e3", "0x1f", "12:30", "*.example.com", "a: b", "a #b",
                           "- x", " padded", "@type"})
    CHECK(one(text) == "\"" + std::string(text) + "\"\n");
  CHECK(one("line\nbreak") == "\"line\\nbreak\"\n");
}

TEST_CASE("ages") {
  CHECK(age_text(0.25) == "250ms");
  CHECK(age_text(5.9) == "5s");
  CHECK(age_text(65) == "1m5s");
  CHECK(age_text(93780) == "1d2h");
  CHECK(age_text(7260) == "2h1m");
}

TEST_CASE("objects as people read them") {
  CHECK(object_text(nullptr).empty());
  CHECK(object_text(Json::parse(
            R"({"kind":"builtin","name":null,"namespace":null,"file":null,"line":null})")) == "builtin");
  CHECK(
      object_text(Json::parse(R"({"kind":"Service","name":"a","namespace":"b","file":"c.yaml","line":3})")) ==
      "Service b/a (c.yaml:3)");
}

}  // namespace sockmesh::ctl
