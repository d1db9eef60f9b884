#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>

#include "lib/config/scalars.h"

namespace bsockd {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

template <typename T>
std::string HintOf(const absl::StatusOr<T>& parsed) {
  return parsed.ok() ? "" : std::string(parsed.status().message());
}

absl::StatusOr<Duration> ParseUpToADay(std::string_view text) {
  return ParseDuration(text, Duration::zero(), hours(24));
}

TEST(DurationTest, Parse) {
  EXPECT_EQ(*ParseUpToADay("0s"), Duration::zero());
  EXPECT_EQ(*ParseUpToADay("200ms"), milliseconds(200));
  EXPECT_EQ(*ParseUpToADay("5s"), seconds(5));
  EXPECT_EQ(*ParseUpToADay("2m"), minutes(2));
  EXPECT_EQ(*ParseUpToADay("24h"), hours(24));
  EXPECT_EQ(*ParseUpToADay("007s"), seconds(7));
}

TEST(DurationTest, Refuse) {
  for (const char* bad : {"", "s", "ms", "5x", "5S", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5s",
                          "1m30s", "5d", "5us", "0x5s", "5ss"}) {
    EXPECT_EQ(ParseUpToADay(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(HintOf(ParseUpToADay("30")), "a duration needs a unit: write 30ms, 30s, 30m or 30h");
}

TEST(DurationTest, Range) {
  for (const char* bad :
       {"25h", "86401s", "18446744073709551615h", "99999999999999999999999ms", "5124095576h"}) {
    EXPECT_EQ(ParseUpToADay(bad).status().code(), absl::StatusCode::kOutOfRange) << bad;
  }
  EXPECT_EQ(HintOf(ParseDuration("0s", milliseconds(1), minutes(90))), "it is from 1ms to 90m");
}

TEST(DurationTest, Format) {
  EXPECT_EQ(FormatDuration(Duration::zero()), "0s");
  EXPECT_EQ(FormatDuration(milliseconds(1)), "1ms");
  EXPECT_EQ(FormatDuration(milliseconds(1500)), "1500ms");
  EXPECT_EQ(FormatDuration(seconds(60)), "1m");
  EXPECT_EQ(FormatDuration(minutes(90)), "90m");
  EXPECT_EQ(FormatDuration(hours(8760)), "8760h");
  EXPECT_EQ(FormatDuration(nanoseconds(1)), "1ms");
}

absl::StatusOr<size_t> ParseUpToAGibibyte(std::string_view text) {
  return ParseSize(text, 1, size_t{1} << 30);
}

TEST(SizeTest, Parse) {
  EXPECT_EQ(*ParseUpToAGibibyte("1"), 1u);
  EXPECT_EQ(*ParseUpToAGibibyte("512"), 512u);
  EXPECT_EQ(*ParseUpToAGibibyte("64KiB"), 65536u);
  EXPECT_EQ(*ParseUpToAGibibyte("1MiB"), 1048576u);
  EXPECT_EQ(*ParseUpToAGibibyte("1GiB"), 1073741824u);
}

TEST(SizeTest, RefuseAndSayWhatWasMeant) {
  EXPECT_EQ(HintOf(ParseUpToAGibibyte("64KB")), "write 64KiB");
  EXPECT_EQ(HintOf(ParseUpToAGibibyte("64kb")), "write 64KiB");
  EXPECT_EQ(HintOf(ParseUpToAGibibyte("64K")), "write 64KiB");
  EXPECT_EQ(HintOf(ParseUpToAGibibyte("2 m")), "write 2MiB");
  EXPECT_EQ(HintOf(ParseUpToAGibibyte("1gib")), "write 1GiB");
  for (const char* bad :
       {"", "KiB", "1.5MiB", "-1", "+1", "0x10", "1TiB", "64 bananas", "1 ", "1B"}) {
    EXPECT_EQ(HintOf(ParseUpToAGibibyte(bad)),
              "it is a whole number of bytes, or one with a unit: KiB, MiB or GiB")
        << bad;
  }
}

TEST(SizeTest, Range) {
  for (const char* bad : {"0", "0KiB", "1073741825", "2GiB", "18446744073709551617",
                          "17179869184GiB", "17179869185GiB"}) {
    EXPECT_EQ(HintOf(ParseUpToAGibibyte(bad)), "it is from 1 to 1GiB") << bad;
  }
}

TEST(SizeTest, Format) {
  EXPECT_EQ(FormatSize(0), "0");
  EXPECT_EQ(FormatSize(1000), "1000");
  EXPECT_EQ(FormatSize(1024), "1KiB");
  EXPECT_EQ(FormatSize(1536), "1536");
  EXPECT_EQ(FormatSize(3u << 20), "3MiB");
  EXPECT_EQ(FormatSize(size_t{1} << 40), "1024GiB");
}

TEST(ModeTest, Parse) {
  EXPECT_EQ(*ParseMode("0660"), mode_t{0660});
  EXPECT_EQ(*ParseMode("660"), mode_t{0660});
  EXPECT_EQ(*ParseMode("0"), mode_t{0});
  EXPECT_EQ(*ParseMode("000777"), mode_t{0777});
  for (const char* bad : {"", "8", "0o660", "-1", " 660", "rw"}) {
    EXPECT_EQ(ParseMode(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  for (const char* bad : {"1000", "7777777777777777777777777"}) {
    EXPECT_EQ(ParseMode(bad).status().code(), absl::StatusCode::kOutOfRange) << bad;
  }
  EXPECT_EQ(FormatMode(0600), "0600");
  EXPECT_EQ(FormatMode(0), "0000");
}

TEST(IntegerTest, Parse) {
  EXPECT_EQ(*ParseInteger("-5", -10, 10), -5);
  EXPECT_EQ(*ParseInteger("10", -10, 10), 10);
  for (const char* bad : {"", "1.0", "1e3", "0x1", "+1", " 1", "1 ", "one", "--1"}) {
    EXPECT_EQ(HintOf(ParseInteger(bad, 1, 9)), "it is a whole number from 1 to 9") << bad;
  }
  for (const char* bad : {"0", "10", "-1", "99999999999999999999"}) {
    EXPECT_EQ(HintOf(ParseInteger(bad, 1, 9)), "it is from 1 to 9") << bad;
  }
}

TEST(BoolTest, Parse) {
  EXPECT_TRUE(*ParseBool("true"));
  EXPECT_FALSE(*ParseBool("False"));
  for (const char* bad : {"", "yes", "on", "1", "tRUE"}) EXPECT_FALSE(ParseBool(bad).ok()) << bad;
}

TEST(PlainTypeTest, IsThatOfTheCoreSchema) {
  for (const char* number : {"0", "-1", "+1", "12", "0660", "0x1F", "0o17", "1.", ".5", "1.5",
                             "1e3", "-1.5E-3", ".inf", "-.INF", ".nan"}) {
    EXPECT_EQ(PlainTypeOf(number), PlainType::kNumber) << number;
  }
  for (const char* boolean : {"true", "FALSE"}) {
    EXPECT_EQ(PlainTypeOf(boolean), PlainType::kBool) << boolean;
  }
  for (const char* text : {"", "yes", "a", "-", "+", ".", "1a", "1e", "1e+", "0x", "0xg", "0o8",
                           "1.2.3", "127.0.0.1:1", "5s", "1-2", "e3", "..", "truex"}) {
    EXPECT_EQ(PlainTypeOf(text), PlainType::kString) << text;
  }
}

TEST(QuoteYamlTest, Escapes) {
  EXPECT_EQ(QuoteYaml(""), R"("")");
  EXPECT_EQ(QuoteYaml("a'b: #c"), R"("a'b: #c")");
  EXPECT_EQ(QuoteYaml("\"\\\r\n\t"), R"("\"\\\r\n\t")");
  EXPECT_EQ(QuoteYaml(std::string_view("\0\x1b\x7f", 3)), R"("\x00\x1b\x7f")");
  EXPECT_EQ(QuoteYaml("\xC3\xA9\xF0\x9F\x98\x80"), "\"\xC3\xA9\xF0\x9F\x98\x80\"");
  EXPECT_EQ(QuoteYaml("\xC2\x85\xC2\xA0"), R"("\x85\xa0")");
  EXPECT_EQ(QuoteYaml("\xE2\x80\xA8\xEF\xBB\xBF"), R"("\u2028\ufeff")");
  EXPECT_EQ(QuoteYaml("\xFFz"), R"("\ufffdz")");
}

}  // namespace
}  // namespace bsockd
