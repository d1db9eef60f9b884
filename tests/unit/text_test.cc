#include "lib/base/text.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "lib/base/utf8.h"

namespace bsockd {
namespace {

std::string Escaped(std::string_view bytes, size_t bytes_max = 1000) {
  std::string out = "<";
  AppendEscaped(bytes, bytes_max, &out);
  return out.substr(1);
}

TEST(AppendEscapedTest, Ascii) {
  EXPECT_EQ(Escaped(""), "");
  EXPECT_EQ(Escaped("AWESOMESAUCE ~!"), "AWESOMESAUCE ~!");
  EXPECT_EQ(Escaped("\"\\"), R"(\"\\)");
  EXPECT_EQ(Escaped("a\r\n\tb"), R"(a\r\n\tb)");
  EXPECT_EQ(Escaped(std::string_view("\0\x01\x1b\x7f", 4)), R"(\x00\x01\x1b\x7f)");
}

TEST(AppendEscapedTest, Utf8Stays) {
  for (const char* text : {"\xC3\xA9", "\xC2\xA0", "\xE4\xB8\x96", "\xEF\xBF\xBD",
                           "\xF0\x9F\x98\x80", "\xED\x9F\xBF", "\xEE\x80\x80"}) {
    EXPECT_EQ(Escaped(text), text);
  }
}

TEST(AppendEscapedTest, IllFormedUtf8IsEscaped) {
  EXPECT_EQ(Escaped("\xFF"), R"(\xff)");
  EXPECT_EQ(Escaped("\xC3"), R"(\xc3)");
  EXPECT_EQ(Escaped("\xC3z"), R"(\xc3z)");
  EXPECT_EQ(Escaped("\x80"), R"(\x80)");
  EXPECT_EQ(Escaped("\xC0\x80"), R"(\xc0\x80)");                  // Overlong.
  EXPECT_EQ(Escaped("\xE0\x9F\xBF"), R"(\xe0\x9f\xbf)");          // Overlong.
  EXPECT_EQ(Escaped("\xF0\x8F\xBF\xBF"), R"(\xf0\x8f\xbf\xbf)");  // Overlong.
  EXPECT_EQ(Escaped("\xED\xA0\x80"), R"(\xed\xa0\x80)");          // A surrogate.
  EXPECT_EQ(Escaped("\xF4\x90\x80\x80"), R"(\xf4\x90\x80\x80)");  // Above U+10FFFF.
  EXPECT_EQ(Escaped("\xE4\xB8"), R"(\xe4\xb8)");                  // Cut.
}

TEST(AppendEscapedTest, WhatMovesATerminalIsEscaped) {
  EXPECT_EQ(Escaped("\xC2\x85"), R"(\xc2\x85)");          // C1: next line.
  EXPECT_EQ(Escaped("\xC2\x9B"), R"(\xc2\x9b)");          // C1: control sequence introducer.
  EXPECT_EQ(Escaped("\xE2\x80\xA8"), R"(\xe2\x80\xa8)");  // Line separator.
  EXPECT_EQ(Escaped("\xE2\x80\xAE"), R"(\xe2\x80\xae)");  // Right-to-left override.
  EXPECT_EQ(Escaped("\xE2\x81\xA6"), R"(\xe2\x81\xa6)");  // Left-to-right isolate.
  EXPECT_EQ(Escaped("\xE2\x80\x8F"), R"(\xe2\x80\x8f)");  // Right-to-left mark.
}

TEST(AppendEscapedTest, IsCut) {
  EXPECT_EQ(Escaped("abcdef", 6), "abcdef");
  EXPECT_EQ(Escaped("abcdef", 3), "abc... (6 bytes)");
  EXPECT_EQ(Escaped("abc", 0), "... (3 bytes)");
  EXPECT_EQ(Escaped("a\xC3\xA9z", 2), "a... (4 bytes)") << "half a character is not shown";
  EXPECT_EQ(Escaped("a\xF0\x9F\x98\x80z", 4), "a... (6 bytes)");
  EXPECT_EQ(Escaped("a\xC3z", 2), R"(a\xc3... (3 bytes))");
}

std::string_view Nearest(std::string_view text) {
  constexpr std::string_view kWords[] = {"listen", "mode", "framing", "handler", "limits", "io"};
  return NearestWord(text, kWords, std::size(kWords));
}

TEST(NearestWordTest, FindsMisspellings) {
  EXPECT_EQ(Nearest("listen"), "listen");
  EXPECT_EQ(Nearest("lisen"), "listen");
  EXPECT_EQ(Nearest("lsiten"), "listen");
  EXPECT_EQ(Nearest("handlers"), "handler");
  EXPECT_EQ(Nearest("framign"), "framing");
  EXPECT_EQ(Nearest("limit"), "limits");
  EXPECT_EQ(Nearest("Mode"), "mode");
}

TEST(NearestWordTest, FindsNothingWhereNothingIsNear) {
  EXPECT_EQ(Nearest(""), "");
  EXPECT_EQ(Nearest("reply"), "");
  EXPECT_EQ(Nearest("xy"), "");
  EXPECT_EQ(Nearest("made-up"), "");
  EXPECT_EQ(Nearest(std::string(100'000, 'l')), "");
  EXPECT_EQ(NearestWord("listen", nullptr, 0), "");
}

TEST(Utf8Test, Decode) {
  const auto code = [](std::string_view text) { return DecodeUtf8(text).code; };
  EXPECT_EQ(code("a"), 0x61u);
  EXPECT_EQ(code("\xC2\x80"), 0x80u);
  EXPECT_EQ(code("\xDF\xBF"), 0x7FFu);
  EXPECT_EQ(code("\xE0\xA0\x80"), 0x800u);
  EXPECT_EQ(code("\xEF\xBF\xBF"), 0xFFFFu);
  EXPECT_EQ(code("\xF0\x90\x80\x80"), 0x10000u);
  EXPECT_EQ(code("\xF4\x8F\xBF\xBF"), 0x10FFFFu);
  EXPECT_EQ(DecodeUtf8("\xE2\x82\xACuro").bytes, 3u);
}

}  // namespace
}  // namespace bsockd
