// What YAML can hold that a configuration reader should not trip over, and what it may cost.
#include "config/manifest/yaml.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

using namespace sockmesh::config;

namespace {

// One line a document: "{a: 'b'(2), ...}" with the line of each value; "BROKEN line: why" for what is not
// YAML.
std::string show(const yaml::Node& node) {
  switch (node.kind) {
    case yaml::Node::Kind::kNull:
      return "null";
    case yaml::Node::Kind::kScalar:
      return std::string(node.text) + "@" + std::to_string(node.line);
    default:
      break;
  }
  std::string out = node.is_mapping() ? "{" : "[";
  for (const yaml::Member& member : node.members) {
    if (out.size() > 1) out += ", ";
    if (node.is_mapping()) out += std::string(member.key) + ": ";
    out += show(*member.value);
  }
  return out + (node.is_mapping() ? "}" : "]");
}

std::string read(std::string_view text, int first_line = 1) {
  std::string out;
  yaml::read_documents(text, first_line, [&](const yaml::Document& document) {
    if (!out.empty()) out += "\n";
    if (document.broken)
      out += "BROKEN " + std::to_string(document.broken->line) + ": " + document.broken->text;
    if (document.root) out += show(*document.root);
    for (const yaml::Problem& remark : document.remarks) {
      out += " REMARK " + std::to_string(remark.line) + ": " + remark.text;
    }
  });
  return out;
}

}  // namespace

TEST_CASE("documents are cut at their markers and keep their lines") {
  CHECK(read("a: b\n---\nc: d\n") == "{a: b@1}\n{c: d@3}");
  CHECK(read("---\na: b\n...\n---\nc: d\n...\n") == "{a: b@2}\n{c: d@5}");
  CHECK(read("--- {a: b}\n--- # comment\nc: d") == "{a: b@1}\n{c: d@3}");
  CHECK(read("# only\n\n---\n# comments\n---\n\n---\n") == "");
  CHECK(read("") == "");
  CHECK(read("%YAML 1.2\n---\na: b\n") == "{a: b@3}");
  CHECK(read("a: b", 10) == "{a: b@10}");
  CHECK(read("a: |\n  ---\n  x\nb: c\n") == "{a: ---\nx\n@2, b: c@4}");  // indented: no marker
}

TEST_CASE("a broken document says where and leaves the others readable") {
  CHECK_THAT(read("a: b\n---\nc: [d\n---\ne: f\n"),
             Catch::Matches("\\{a: b@1\\}\nBROKEN [34]: not YAML: .*\n\\{e: f@5\\}"));
  CHECK_THAT(read("a:\n\tb: c\n"),
             Catch::Equals("BROKEN 2: not YAML: tab character may not be used as indentation"));
  CHECK_THAT(read("a: b\n  c: d\n"), Catch::StartsWith("BROKEN 1: not YAML"));
  CHECK_THAT(read("a: \"x\\q\"\n"), Catch::StartsWith("BROKEN 1: not YAML: invalid escape"));
}

TEST_CASE("bytes: a byte order mark, line ends, what is no UTF-8") {
  CHECK(read("\xef\xbb\xbf"
             "a: b\n") == "{a: b@1}");
  CHECK(read("a: b\r\nc: d\r\n---\r\ne: f\r\n") == "{a: b@1, c: d@2}\n{e: f@4}");
  const auto broken = [](int line, const char* what) {
    return fmt::format("BROKEN {}: {}: expected UTF-8 text without control characters", line, what);
  };
  CHECK(read("a: b\nc: \xff\n") == broken(2, "byte 0xff"));
  CHECK(read("a: \xc3\n") == broken(1, "byte 0xc3"));
  CHECK(read("a: \xc3") == broken(1, "byte 0xc3"));
  CHECK(read(std::string_view("a: b\n\0c: d", 10)) == broken(2, "character U+0000"));
  CHECK(read("\xff\xfe"
             "a") == broken(1, "byte 0xff"));                        // UTF-16
  CHECK(read("\xed\xa0\x80") == broken(1, "byte 0xed"));             // a surrogate
  CHECK(read("a: b\n# \xc0\x80\n") == broken(2, "byte 0xc0"));       // overlong
  CHECK(read("\n\na: \xf4\x90\x80\x80") == broken(3, "byte 0xf4"));  // above U+10FFFF
  CHECK(read("a: b\rc: \x01\r\n") == broken(2, "character U+0001"));
  CHECK(read("a: \"\xc2\x9b\"") == broken(1, "character U+009B"));
  CHECK(read("a: \xef\xbf\xbe") == broken(1, "character U+FFFE"));
  CHECK(read("a: gr\xc3\xbc\xc3\x9f\xf0\x9f\x90\x99\n") == "{a: gr\xc3\xbc\xc3\x9f\xf0\x9f\x90\x99@1}");
}

TEST_CASE("bytes that are no text break the document they are in, comments included, and no other") {
  const std::string bad = ": expected UTF-8 text without control characters";
  CHECK(read("a: b\n---\nc: d\n# caf\xed\xa0\x80\nlost: no\n---\ne: f\n") ==
        "{a: b@1}\nBROKEN 4: byte 0xed" + bad + "\n{e: f@7}");
  CHECK(read("# caf\xe9\n---\na: b\n") == "BROKEN 1: byte 0xe9" + bad + "\n{a: b@3}");
  CHECK(read("%YAML \xff\n---\na: b\n") == "BROKEN 1: byte 0xff" + bad);
  CHECK(read("a: b\n... # \xff\n---\nc: d\n") == "{a: b@1}\n{c: d@4}");
}

TEST_CASE("every kind of line end begins a document, so none hides behind another") {
  CHECK(read("a: b\r---\rc: d\r---\re: f\r") == "{a: b@1}\n{c: d@3}\n{e: f@5}");
  CHECK(read("a: b\r\n---\nc: d\r---\r\n\r\ne: f") == "{a: b@1}\n{c: d@3}\n{e: f@6}");
  CHECK(read("a: b\r...\rc: d\r") == "{a: b@1}\n{c: d@3}");
  // Line ends in YAML 1.1, which kubectl reads, and none here.
  const std::string old =
      "U+0085, U+2028 or U+2029: no end of a line here, but one for kubectl (YAML 1.1): expected LF";
  CHECK(read("a: b # x\xe2\x80\xa8"
             "c: d\n") == "{a: b@1} REMARK 1: " + old);
  CHECK(read("\n# x\xc2\x85kind: Service\n") == "BROKEN 2: " + old);
  CHECK(read("\n# x\n#\xe2\x80\xa9") == "BROKEN 3: " + old);
}

TEST_CASE("files put one behind the other: a byte order mark begins a document") {
  CHECK(read("a: b\n\xef\xbb\xbf---\nc: d\n") == "{a: b@1}\n{c: d@3}");
  CHECK(read("a: b\n---\n\xef\xbb\xbf"
             "c: d\n") == "{a: b@1}\n{c: d@3}");
  CHECK(read("a: b\n---\n\xef\xbb\xbf# x\n%YAML 1.2\n").starts_with("{a: b@1}\nBROKEN"));
  CHECK(read("a: b\n...\n\xef\xbb\xbf%YAML 1.2\n---\nc: d\n") == "{a: b@1}\n{c: d@5}");
  CHECK_THAT(read("a: b\n\xef\xbb\xbf"
                  "c: d\n"),
             Catch::Contains("REMARK 2: ") && Catch::Contains("U+FEFF"));
}

TEST_CASE("nothing between documents is dropped") {
  CHECK(read("%kind: Service\nname: x\n") ==
        "BROKEN 1: a line that begins with '%': expected directives in front of '---' only");
  CHECK(read("# x\n%kind: Service\n") ==
        "BROKEN 2: a line that begins with '%': expected directives in front of '---' only");
  CHECK(read("%YAML 1.2\n...\na: b\n") ==
        "BROKEN 1: a line that begins with '%': expected directives in front of '---' only\n{a: b@3}");
  CHECK(read("a: b\n... c: d\ne: f\n") ==
        "{a: b@1}\nBROKEN 2: text behind '...': expected nothing but a comment on this line\n{e: f@3}");
  CHECK_THAT(read("---\n%kind: Service\n"), Catch::StartsWith("BROKEN 2"));
  CHECK_THAT(read("---\n%kind: Service\n---\na: b"), Catch::EndsWith("\n{a: b@4}"));
  CHECK_THAT(read("a: b\n%" + std::string(16 << 20, 'a')), Catch::StartsWith("BROKEN 2"));  // and at once
  CHECK_THAT(read("a: b\n%kind: Service\n"), Catch::StartsWith("BROKEN 2"));
  CHECK_THAT(read("[a]\n[b]\n"), Catch::StartsWith("BROKEN 2"));
  CHECK_THAT(read("'a'\n'b'\n"), Catch::StartsWith("BROKEN 2"));
  CHECK_THAT(read("{a: b}\nc: d\n"), Catch::StartsWith("BROKEN 2"));
}

TEST_CASE("nulls, quotes and tags tell text from other types") {
  CHECK(read("a:\nb: ~\nc: null\nd: ''\ne: \"null\"\nf: !!str ~\n") ==
        "{a: null, b: null, c: null, d: @4, e: null@5, f: ~@6}");
  yaml::read_documents("[1, '1', \"1\", !!str 1]", 1, [](const yaml::Document& document) {
    REQUIRE(document.root);
    REQUIRE(document.root->members.size() == 4);
    CHECK(document.root->members[0].value->plain);
    for (size_t i = 1; i < 4; ++i) CHECK_FALSE(document.root->members[i].value->plain);
  });
}

TEST_CASE("block scalars know the line of their text") {
  CHECK(read("a: |-\n  x: 1\n  y: 2\nb: c\n") == "{a: x: 1\ny: 2@2, b: c@4}");
}

TEST_CASE("quotes within quotes are read right or not at all") {
  CHECK(read("a: 'it''s ''x'' and ''y'' and ''z'' and ''w'' and ''v'' too'\n") ==
        "{a: it's 'x' and 'y' and 'z' and 'w' and 'v' too@1}");
  // libfyaml 0.7.12 makes three quotes of these two, cuts the text to its length, and leaks when there are
  // many.
  CHECK_THAT(read("a: b\nc: 'x\'\'\'\'y'\n"), Catch::StartsWith("BROKEN 2: a text that cannot be read"));
  CHECK(read("a: \"x''y\"\n") == "{a: x''y@1}");
}

TEST_CASE("JSON is YAML, with tabs and without line breaks") {
  CHECK(read("{\n\t\"a\": \"b\",\n\t\"l\": [\n\t\t1,\n\t\t{\"c\": null}\n\t]\n}\n") ==
        "{a: b@2, l: [1@4, {c: null}]}");
  CHECK(read(R"({"a":{"b":["c","\u00e9"]}})") == "{a: {b: [c@1, \xc3\xa9@1]}}");
}

TEST_CASE("duplicate keys are told, the last one counts") {
  CHECK(read("a: 1\nb: 2\na: 3\n") ==
        "{a: 1@1, b: 2@2, a: 3@3} REMARK 3: 'a': the key is there twice, the last one counts");
  yaml::read_documents("a: 1\na: 3\n", 1,
                       [](const yaml::Document& document) { CHECK(document.root->find("a")->text == "3"); });
}

TEST_CASE("aliases and merge keys stand for what they name") {
  CHECK(read("a: &x {b: c}\nd: *x\ne: [*x, &y z, *y]\n") ==
        "{a: {b: c@1}, d: {b: c@1}, e: [{b: c@1}, z@3, z@3]}");
  CHECK(read("base: &x\n  p: 1\n  q: 2\none:\n  <<: *x\n  q: 3\ntwo: {<<: [*x, {r: 4}]}\n") ==
        "{base: {p: 1@2, q: 2@3}, one: {q: 3@6, p: 1@2}, two: {p: 1@2, q: 2@3, r: 4@7}}");
  CHECK_THAT(read("a: *nobody\n"), Catch::StartsWith("BROKEN 1: '*nobody': expected the name of an anchor"));
  CHECK_THAT(read("a: &x [*x]\n"), Catch::StartsWith("BROKEN 1: '*x': expected the name of an anchor"));
  CHECK_THAT(read("? [a]\n: b\n"), Catch::StartsWith("BROKEN 1: a mapping key is a collection"));
}

TEST_CASE("a billion laughs are refused before they are told") {
  std::string text = "l0: &l0 lol\n";
  for (int i = 1; i < 30; ++i) {
    text += fmt::format("l{0}: &l{0} [*l{1}, *l{1}, *l{1}, *l{1}, *l{1}, *l{1}, *l{1}, *l{1}, *l{1}]\n", i,
                        i - 1);
  }
  CHECK_THAT(read(text),
             Catch::Matches("BROKEN [0-9]+: '\\*l[0-9]': aliases stand for more than 100000 values"));
}

TEST_CASE("what one line can cost is bounded") {
  const auto line = [](std::string_view open, std::string_view part, size_t count, std::string_view close) {
    std::string text(open);
    for (size_t i = 0; i < count; ++i) text += part;
    return text += close;
  };
  const std::string why =
      "more than 100000 values in one line: expected line breaks between them, as kubectl prints them";
  CHECK(read("a: b\n---\n\n" + line("{", "a: b, ", 50'000, "}") + "\n---\nc: d") ==
        "{a: b@1}\nBROKEN 4: " + why + "\n{c: d@6}");
  for (const char* part : {"[", "- ", "? ", "{a: ", "&a ", "!a ", "\"a\": ", "[],"})
    CHECK(read(line("", part, 1 << 20, "")) == "BROKEN 1: " + why);
  CHECK(read(line("{", "a: b,\n", 1000, "}")).starts_with("{a: b@1"));
  CHECK(read(line("a: ", "x", 1 << 20, "\n")).starts_with("{a: x"));
  yaml::read_documents(line("[", "1,", 40'000, "1]"), 1, [](const yaml::Document& document) {
    REQUIRE(document.root);
    CHECK(document.root->members.size() == 40'001);
  });
}

TEST_CASE("merge keys within merge keys are bounded like aliases") {
  // Each level copies all members of the one below: 60 levels of 5,000 members.
  std::string inner = "{";
  for (int i = 0; i < 5000; ++i) inner += fmt::format("k{}: v, ", i);
  std::string text = inner + "}";
  for (int i = 0; i < 60; ++i) text = "{<<: " + text + "}";
  CHECK(read(text) == "BROKEN 1: '<<': merge keys stand for more than 100000 values");
}

TEST_CASE("duplicate keys: the first hundred are told, the others are counted, long ones are shortened") {
  std::string text = std::string(10'000, 'k') + ": 1\n";
  for (int i = 0; i < 250; ++i) text += std::string(10'000, 'k') + ": 1\n";
  yaml::read_documents(text, 1, [](const yaml::Document& document) {
    CHECK(document.remarks.size() == yaml::kMaxRemarks);
    CHECK(document.unlisted_remarks == 150);
    for (const yaml::Problem& remark : document.remarks) CHECK(remark.text.size() < 200);
  });
}

TEST_CASE("indentation copied from a web page is told") {
  CHECK_THAT(read("a:\n\xc2\xa0\xc2\xa0"
                  "b: c\n"),
             Catch::Contains("REMARK 2: ") && Catch::Contains("no-break space (U+00A0)"));
}

TEST_CASE("nesting is bounded") {
  const auto nested = [](int depth) {
    return "a: " + std::string(static_cast<size_t>(depth), '[') +
           std::string(static_cast<size_t>(depth), ']');
  };
  CHECK_THAT(read(nested(60)), Catch::StartsWith("{a: [[["));
  CHECK_THAT(read(nested(64)), Catch::StartsWith("BROKEN 1: "));
  CHECK_THAT(read(nested(100'000)), Catch::StartsWith("BROKEN 1: "));
  std::string block;
  for (int i = 0; i < 200; ++i) block += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  CHECK_THAT(read(block), Catch::StartsWith("BROKEN 6"));
}

TEST_CASE("huge scalars and huge texts") {
  CHECK(read("a: " + std::string(1 << 20, 'x')).size() == (1 << 20) + 8 - 1);
  CHECK_THAT(read(std::string(yaml::kMaxText + 1, ' ')),
             Catch::StartsWith("BROKEN 1: 33554433 bytes: expected at most"));
}
