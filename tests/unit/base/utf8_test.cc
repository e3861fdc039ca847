// Every code point and every short sequence of bytes: what is well-formed is exactly what the code points
// encode to.
#include "base/utf8.h"

#include <catch2/catch.hpp>

using namespace sockmesh;

namespace {

// As the bit patterns of RFC 3629, section 3, say, with a length of the caller's choice: longer than needed
// is an overlong form.
std::string encode(uint32_t code, size_t length) {
  if (length == 1) return {static_cast<char>(code)};
  std::string out(length, '\0');
  for (size_t i = length - 1; i > 0; --i) {
    out[i] = static_cast<char>(0x80 | (code & 0x3f));
    code >>= 6;
  }
  out[0] = static_cast<char>(((0xf00 >> length) & 0xff) | code);
  return out;
}

size_t shortest(uint32_t code) { return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4; }

bool is_scalar_value(uint32_t code) { return code < 0xd800 || (code > 0xdfff && code <= 0x10ffff); }

}  // namespace

TEST_CASE("every code point is read from its shortest form and from no other") {
  constexpr uint32_t kLimits[] = {0, 0x80, 0x800, 0x10000, 0x200000};  // what so many bytes can hold
  for (uint32_t code = 0; code < 0x200000; ++code) {
    for (size_t length = 1; length <= 4; ++length) {
      if (code >= kLimits[length]) continue;
      const std::string text = encode(code, length);
      const Utf8Char read = first_utf8(text);
      const bool right = is_scalar_value(code) && length == shortest(code)
                             ? read.length == length && read.code == code
                             : read.length == 0;
      if (!right) FAIL("U+" << std::hex << code << " in " << length << " bytes");
      // Cut short it is nothing.
      if (length > 1 && first_utf8(std::string_view(text).substr(0, length - 1)).length != 0)
        FAIL("U+" << std::hex << code << " cut short");
    }
  }
}

TEST_CASE("no other bytes are a character") {
  // Each length has as many well-formed sequences as code points that need it, and those were all read above.
  size_t found[5] = {};
  std::string text;
  const auto count = [&] { found[text.size()] += first_utf8(text).length == text.size(); };
  for (int a = 0; a < 256; ++a) {
    text = {static_cast<char>(a)};
    count();
    for (int b = 0; b < 256; ++b) {
      text = {static_cast<char>(a), static_cast<char>(b)};
      count();
      if (a < 0x80) continue;
      for (int c = 0; c < 256; ++c) {
        text = {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)};
        count();
      }
    }
  }
  CHECK(found[1] == 128);
  CHECK(found[2] == 0x800 - 0x80);
  CHECK(found[3] == 0x10000 - 0x800 - 0x800);
  // Of four bytes the last two are only ever continuation bytes.
  for (int a = 0xf0; a < 256; ++a)
    for (int b = 0; b < 256; ++b)
      for (const char c : {'\x00', '\x7f', '\x80', '\xbf', '\xc0', '\xff'})
        for (const char d : {'\x00', '\x7f', '\x80', '\xbf', '\xc0', '\xff'}) {
          text = {static_cast<char>(a), static_cast<char>(b), c, d};
          count();
        }
  CHECK(found[4] == 0x100000 / (64 * 64) * 4);
  CHECK(first_utf8("").length == 0);
}

TEST_CASE("a fault is where it is, and says what it is") {
  const auto fault = [](std::string_view text) {
    const auto found = text_fault(text);
    return found ? std::to_string(found->offset) + " " + found->what : "none";
  };
  CHECK(fault("plain\ttext\r\n") == "none");
  CHECK(fault("gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x99 \xef\xbb\xbf\xc2\x85\xe2\x80\xa8\xc2\xa0") == "none");
  CHECK(fault("ab\xff") == "2 byte 0xff");
  CHECK(fault("ab\xe9t") == "2 byte 0xe9");            // Latin-1
  CHECK(fault("\xed\xa0\x80") == "0 byte 0xed");       // a surrogate
  CHECK(fault("a\xc0\xaf") == "1 byte 0xc0");          // an overlong slash
  CHECK(fault("a\xf4\x90\x80\x80") == "1 byte 0xf4");  // above U+10FFFF
  CHECK(fault("a\xe2\x80") == "1 byte 0xe2");          // cut short
  CHECK(fault(std::string_view("a\0b", 3)) == "1 character U+0000");
  CHECK(fault("a\x1b[31m") == "1 character U+001B");
  CHECK(fault("a\x7f") == "1 character U+007F");
  CHECK(fault("a\xc2\x9b") == "1 character U+009B");
  CHECK(fault("a\xef\xbf\xbe") == "1 character U+FFFE");
  CHECK(fault("a\xef\xbf\xbf") == "1 character U+FFFF");
}

TEST_CASE("whatever it was, in a message it is one line of text") {
  CHECK(printable("a\nb\tc\x1b[31m\x7f", 80) == "a b c [31m ");
  CHECK(printable("x\xe9y\xed\xa0\x80", 80) == "x\xef\xbf\xbdy\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  CHECK(printable("a\xe2\x80\xa8"
                  "b\xc2\x85"
                  "c",
                  80) == "a b c");
  CHECK(printable("12345", 5) == "12345");
  CHECK(printable("123456", 5) == "12345...");
  CHECK(printable("1234\xc3\xbc", 5) == "1234...");  // never half a character
  for (size_t longest = 0; longest < 40; ++longest) {
    const std::string text = printable("\xff\xc3\xbc\xf0\x9f\x90\x99\n\xe2\x82\xac and more", longest);
    CHECK_FALSE(text_fault(text));
    CHECK(text.size() <= longest + 3);
  }
}
