// Frames that say how long they are: when they are decided, what is remembered of them, and what
// replies look like. framing_corpus_test.cc has what the streams mean.

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/framing/framer.h"

namespace bsockd {
namespace {

using Kind = FrameResult::Kind;
using namespace std::string_literals;  // NOLINT: for NUL bytes.

constexpr size_t kPlenty = 1000;

FramingConfig Of(FramingConfig::Kind kind) {
  FramingConfig config;
  config.kind = kind;
  return config;
}

FramingConfig Netstring() { return Of(FramingConfig::Kind::kNetstring); }
FramingConfig Varint() { return Of(FramingConfig::Kind::kVarint); }

FramingConfig Fixed(size_t bytes) {
  FramingConfig config = Of(FramingConfig::Kind::kFixed);
  config.fixed_bytes = bytes;
  return config;
}

// As the presets u8, u16be and so on are.
FramingConfig Length(int width, bool little_endian = false) {
  FramingConfig config = Of(FramingConfig::Kind::kLength);
  config.length.width = width;
  config.length.little_endian = little_endian;
  config.length.strip = static_cast<size_t>(width);
  config.length.in_replies = true;
  return config;
}

std::vector<FramingConfig> All() {
  return {Length(1), Length(2),   Length(3, true), Length(4),
          Length(8), Netstring(), Varint(),        Fixed(4)};
}

FramingConfig Skipping(FramingConfig config) {
  config.overlong = FramingConfig::Overlong::kSkip;
  return config;
}

bool IsFresh(const FramerState& state) {
  return state.scanned == 0 && state.to_skip == 0 && !state.skipping;
}

// How many of the bytes have to come before the framer says something, and that it says it then.
size_t DecidedAt(const FramingConfig& config, std::string_view bytes, Kind kind,
                 FrameError error = FrameError::kMalformed) {
  const auto framer = MakeFramer(config, 4);
  for (size_t come = 0; come <= bytes.size(); ++come) {
    FramerState state;
    const FrameResult result = framer->Next(bytes.substr(0, come), state);
    if (result.kind == Kind::kNeedMore) continue;
    EXPECT_EQ(result.kind, kind);
    if (kind == Kind::kError) {
      EXPECT_EQ(result.error, error);
    }
    return come;
  }
  return std::string_view::npos;
}

TEST(CountedFramer, AFrameEndsWithItsLastByte) {
  EXPECT_EQ(DecidedAt(Length(2), "\0\2abc"s, Kind::kFrame), 4u);
  EXPECT_EQ(DecidedAt(Length(2), "\0\0abc"s, Kind::kFrame), 2u);
  EXPECT_EQ(DecidedAt(Netstring(), "2:ab,c", Kind::kFrame), 5u);
  EXPECT_EQ(DecidedAt(Varint(), "\2abc", Kind::kFrame), 3u);
  EXPECT_EQ(DecidedAt(Fixed(2), "abc", Kind::kFrame), 2u);
}

TEST(CountedFramer, WhatIsWrongIsToldAsSoonAsTheHeaderShowsIt) {
  EXPECT_EQ(DecidedAt(Length(4), "\0\0\0\5hello"s, Kind::kError, FrameError::kOverlong), 4u);
  EXPECT_EQ(DecidedAt(Length(8), "\x80\0\0\0\0\0\0\0hello"s, Kind::kError), 8u);
  FramingConfig whole = Length(2);
  whole.length.adjust = -2;
  EXPECT_EQ(DecidedAt(whole, "\0\1hello"s, Kind::kError), 2u);
  EXPECT_EQ(DecidedAt(Netstring(), "5:hello,", Kind::kError, FrameError::kOverlong), 2u);
  EXPECT_EQ(DecidedAt(Netstring(), "01:a,", Kind::kError), 2u);
  EXPECT_EQ(DecidedAt(Netstring(), "12a", Kind::kError), 3u);
  EXPECT_EQ(DecidedAt(Netstring(), ":a", Kind::kError), 1u);
  EXPECT_EQ(DecidedAt(Netstring(), "2:abc", Kind::kError), 5u);
  EXPECT_EQ(DecidedAt(Netstring(), "1234567890123456789:", Kind::kError, FrameError::kOverlong),
            19u);
  EXPECT_EQ(DecidedAt(Varint(), "\5hello", Kind::kError, FrameError::kOverlong), 1u);
  EXPECT_EQ(DecidedAt(Varint(), "\x80\x80\x80\x80\x10", Kind::kError), 5u);
  EXPECT_EQ(DecidedAt(Varint(), "\x80\x80\x80\x80\x80\x01", Kind::kError), 5u);
}

TEST(CountedFramer, NoInputIsNoFrame) {
  for (const FramingConfig& config : All()) {
    FramerState state;
    EXPECT_EQ(MakeFramer(config, kPlenty)->Next("", state).kind, Kind::kNeedMore);
    EXPECT_TRUE(IsFresh(state));
  }
}

TEST(CountedFramer, ThePayloadLiesInTheInput) {
  const std::string input = "3:abc,";
  FramerState state;
  const FrameResult result = MakeFramer(Netstring(), kPlenty)->Next(input, state);
  EXPECT_EQ(result.payload.data(), input.data() + 2);
  EXPECT_EQ(result.consumed, input.size());
}

// Even without a limit, as a client reads replies, a length is only a number.
TEST(CountedFramer, TheLargestLengthsAreWaitedFor) {
  constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
  const std::vector<std::pair<FramingConfig, std::string>> headers = {
      {Length(8), "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"},
      {Netstring(), "999999999999999999:"},
      {Varint(), "\xFF\xFF\xFF\xFF\x0F"}};
  for (const auto& [config, header] : headers) {
    FramerState state;
    EXPECT_EQ(MakeFramer(config, kNoLimit)->Next(header + "hello", state).kind, Kind::kNeedMore);
  }
  FramingConfig largest = Length(8);
  largest.length.adjust = kLengthAdjustMax;
  largest.length.offset = kLengthOffsetMax;
  const std::string input = std::string(kLengthOffsetMax, 'x') + headers[0].second;
  FramerState state;
  EXPECT_EQ(MakeFramer(largest, kNoLimit)->Next(input, state).kind, Kind::kNeedMore);
}

TEST(CountedFramer, ASkippedFrameIsANumber) {
  const auto framer = MakeFramer(Skipping(Length(8)), 4);
  FramerState state;
  const FrameResult error = framer->Next("\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFFhello", state);
  EXPECT_EQ(error.kind, Kind::kError);
  EXPECT_EQ(error.error, FrameError::kOverlong);
  EXPECT_TRUE(error.resumable);
  EXPECT_EQ(error.consumed, 13u);
  EXPECT_EQ(state.to_skip, (uint64_t{1} << 63) - 1 - 5);
  const std::string more(1000, 'x');
  for (int i = 0; i < 3; ++i) {
    const FrameResult discard = framer->Next(more, state);
    EXPECT_EQ(discard.kind, Kind::kDiscard);
    EXPECT_EQ(discard.consumed, more.size());
  }
}

TEST(CountedFramer, TheCommaOfASkippedNetstringIsStillDue) {
  const auto framer = MakeFramer(Skipping(Netstring()), 4);
  for (const char last : {',', ';'}) {
    FramerState state;
    EXPECT_EQ(framer->Next("5:hello", state).consumed, 7u);
    EXPECT_EQ(state.to_skip, 0u);
    EXPECT_TRUE(state.skipping);
    const FrameResult result = framer->Next({&last, 1}, state);
    if (last == ',') {
      EXPECT_EQ(result.kind, Kind::kDiscard);
      EXPECT_EQ(result.consumed, 1u);
      EXPECT_TRUE(IsFresh(state));
    } else {
      EXPECT_EQ(result.kind, Kind::kError);
      EXPECT_EQ(result.error, FrameError::kMalformed);
      EXPECT_FALSE(result.resumable);
    }
  }
}

TEST(CountedFramer, SilenceSaysNothingAndTheEndTruncates) {
  for (FramingConfig config : All()) {
    const std::string input(1, config.kind == FramingConfig::Kind::kNetstring ? '3' : '\3');
    FramerState state;
    const auto framer = MakeFramer(config, kPlenty);
    EXPECT_EQ(framer->Next(input, state).kind, Kind::kNeedMore);
    EXPECT_EQ(framer->Rest(input, state, /*eof=*/false).kind, Kind::kNeedMore);
    const FrameResult end = framer->Rest(input, state, /*eof=*/true);
    EXPECT_EQ(end.kind, Kind::kError);
    EXPECT_EQ(end.error, FrameError::kTruncated);
    EXPECT_FALSE(end.resumable);

    config.eof = FramingConfig::AtEof::kDiscard;
    const FrameResult discard = MakeFramer(config, kPlenty)->Rest(input, state, /*eof=*/true);
    EXPECT_EQ(discard.kind, Kind::kDiscard);
    EXPECT_EQ(discard.consumed, input.size());
  }
}

// A reply with something before it in the output.
absl::Status Reply(const FramingConfig& config, const std::string& payload, std::string* out) {
  const auto framer = MakeFramer(config, kPlenty);
  *out = "before|";
  const size_t start = framer->BeginFrame(out);
  EXPECT_EQ(start, 7u);
  *out += payload;
  absl::Status status = framer->EndFrame(start, framer->canonical_ending(), out);
  EXPECT_TRUE(out->starts_with("before|"));
  out->erase(0, 7);
  return status;
}

std::string Reply(const FramingConfig& config, const std::string& payload) {
  std::string out;
  EXPECT_TRUE(Reply(config, payload, &out).ok());
  return out;
}

TEST(CountedReply, HasItsLengthInFront) {
  EXPECT_EQ(Reply(Length(1), "hello"), "\5hello");
  EXPECT_EQ(Reply(Length(2), "hello"), "\0\5hello"s);
  EXPECT_EQ(Reply(Length(2, true), "hello"), "\5\0hello"s);
  EXPECT_EQ(Reply(Length(3), "hello"), "\0\0\5hello"s);
  EXPECT_EQ(Reply(Length(3, true), "hello"), "\5\0\0hello"s);
  EXPECT_EQ(Reply(Length(4), "hello"), "\0\0\0\5hello"s);
  EXPECT_EQ(Reply(Length(4, true), "hello"), "\5\0\0\0hello"s);
  EXPECT_EQ(Reply(Length(8), "hello"), "\0\0\0\0\0\0\0\5hello"s);
  EXPECT_EQ(Reply(Length(8, true), "hello"), "\5\0\0\0\0\0\0\0hello"s);
  EXPECT_EQ(Reply(Netstring(), "hello"), "5:hello,");
  EXPECT_EQ(Reply(Netstring(), "hello world!"), "12:hello world!,");
  EXPECT_EQ(Reply(Varint(), "hello"), "\5hello");
  EXPECT_EQ(Reply(Varint(), std::string(300, 'x')), "\xAC\x02" + std::string(300, 'x'));
  EXPECT_EQ(Reply(Varint(), std::string(127, 'x')), "\x7F" + std::string(127, 'x'));
  EXPECT_EQ(Reply(Varint(), std::string(128, 'x')), "\x80\x01" + std::string(128, 'x'));
  EXPECT_EQ(Reply(Length(2), std::string(0x1234, 'x')), "\x12\x34" + std::string(0x1234, 'x'));
}

TEST(CountedReply, MayBeEmpty) {
  EXPECT_EQ(Reply(Length(1), ""), "\0"s);
  EXPECT_EQ(Reply(Length(4), ""), "\0\0\0\0"s);
  EXPECT_EQ(Reply(Netstring(), ""), "0:,");
  EXPECT_EQ(Reply(Varint(), ""), "\0"s);
}

TEST(CountedReply, IsAsTheHandlerGaveItWhereTheFramingSaysSo) {
  FramingConfig map = Length(4);
  map.length.in_replies = false;
  EXPECT_EQ(Reply(map, "hello"), "hello");
  EXPECT_EQ(Reply(Fixed(4), "hello"), "hello");
}

TEST(CountedReply, NeverHasATruncatedLength) {
  constexpr size_t kMax[] = {0xFF, 0xFFFF, 0xFFFFFF};
  for (const int width : {1, 2, 3}) {
    const size_t max = kMax[width - 1];
    EXPECT_EQ(MakeFramer(Length(width), kPlenty)->payload_bytes_max(), max);
    std::string out;
    EXPECT_TRUE(Reply(Length(width), std::string(max, 'x'), &out).ok());
    EXPECT_EQ(out.size(), static_cast<size_t>(width) + max);
    EXPECT_EQ(out.substr(0, static_cast<size_t>(width)),
              std::string(static_cast<size_t>(width), '\xFF'));
    const absl::Status status = Reply(Length(width), std::string(max + 1, 'x'), &out);
    EXPECT_TRUE(absl::IsOutOfRange(status));
  }
  std::string out;
  EXPECT_EQ(Reply(Length(1), std::string(300, 'x'), &out).message(),
            "300 bytes are too many for a length of 1 byte (at most 255)");
  EXPECT_EQ(MakeFramer(Length(4), kPlenty)->payload_bytes_max(), 0xFFFFFFFFu);
  EXPECT_EQ(MakeFramer(Varint(), kPlenty)->payload_bytes_max(), 0xFFFFFFFFu);
  EXPECT_EQ(MakeFramer(Length(8), kPlenty)->payload_bytes_max(), (uint64_t{1} << 63) - 1);
  EXPECT_EQ(MakeFramer(Netstring(), kPlenty)->payload_bytes_max(), 999999999999999999u);
}

}  // namespace
}  // namespace bsockd
