#include "client/hex.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "lib/base/text.h"

namespace bsockd {
namespace {

using std::string_literals::operator""s;

TEST(Hex, TakesPairsOfEitherCaseAndWhatStandsBetweenThem) {
  for (const char* text : {"00ff0aAb", "00 ff 0a ab", "00:FF:0A:AB", " 00 :ff  0aab "}) {
    EXPECT_EQ(FromHex(text).value_or("none"), "\0\xff\n\xab"s) << text;
  }
  EXPECT_EQ(FromHex("").value_or("none"), "");
  EXPECT_EQ(FromHex(" : ").value_or("none"), "");
}

TEST(Hex, EveryByteComesBack) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) bytes.push_back(static_cast<char>(byte));
  EXPECT_EQ(FromHex(ToHex(bytes)).value_or("none"), bytes);
  EXPECT_EQ(ToHex("\0\xff\n\xab"s), "00ff0aab");
  EXPECT_EQ(ToHex(""), "");
}

TEST(Hex, ErrorsNameThePosition) {
  const std::string hint = " (hex is pairs of digits, as in 0a ff or 0A:FF)";
  const std::pair<std::string, std::string> cases[] = {
      {"0", "character 1: the digit \"0\" stands alone"},
      {"00f", "character 3: the digit \"f\" stands alone"},
      {"0 0", "character 1: the digit \"0\" stands alone"},
      {"00:f:00", "character 4: the digit \"f\" stands alone"},
      {"hello", "character 1: \"h\" is no hex digit"},
      {"0x00", "character 2: \"x\" is no hex digit"},
      {"00 0g", "character 5: \"g\" is no hex digit"},
      {"00-00", "character 3: \"-\" is no hex digit"},
      {"00\t", R"(character 3: "\t" is no hex digit)"},
      {"00\0"s, R"(character 3: "\x00" is no hex digit)"},
      {"0\xff", R"(character 2: "\xff" is no hex digit)"},
  };
  for (const auto& [text, message] : cases) {
    const absl::StatusOr<std::string> bytes = FromHex(text);
    EXPECT_EQ(bytes.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(MessageOf(bytes.status()), message + hint);
  }
}

}  // namespace
}  // namespace bsockd
