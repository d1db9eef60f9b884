// Framings in the configuration: what is accepted and what it means. What is refused is in
// tests/golden/config.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/load.h"
#include "tests/unit/config_expect.h"

namespace bsockd {
namespace {

using std::chrono::milliseconds;
using Kind = FramingConfig::Kind;
using AtEof = FramingConfig::AtEof;
using Overlong = FramingConfig::Overlong;

// A listener of which these keys are said.
ListenerConfig LoadListener(std::string_view keys) {
  const std::string yaml =
      "handlers: {h: {reply: x}}\nlisteners: {a: {listen: 'a:1', handler: h, " + std::string(keys) +
      "}}\n";
  const Config config = MustLoad(yaml);
  return config.listeners.empty() ? ListenerConfig() : config.listeners.front();
}

FramingConfig LoadFraming(std::string_view framing) {
  return LoadListener("framing: " + std::string(framing)).framing;
}

FramingConfig Of(Kind kind) {
  FramingConfig framing;
  framing.kind = kind;
  return framing;
}

LengthFieldConfig Preset(int width, bool little_endian) {
  LengthFieldConfig field;
  field.width = width;
  field.little_endian = little_endian;
  field.strip = static_cast<size_t>(width);
  field.in_replies = true;
  return field;
}

TEST(ConfigFramingTest, Words) {
  EXPECT_EQ(LoadFraming("line"), Of(Kind::kLine));
  EXPECT_EQ(LoadFraming("netstring"), Of(Kind::kNetstring));
  EXPECT_EQ(LoadFraming("varint"), Of(Kind::kVarint));
  EXPECT_EQ(LoadFraming("raw"), Of(Kind::kRaw));
}

// In a map, a framing that takes nothing has no value, or an empty one.
TEST(ConfigFramingTest, WordsInMaps) {
  for (const char* nothing : {"", "~", "null", "{}", "[]", "''"}) {
    EXPECT_EQ(LoadFraming("{netstring: " + std::string(nothing) + "}"), Of(Kind::kNetstring));
    EXPECT_EQ(LoadFraming("{varint: " + std::string(nothing) + "}"), Of(Kind::kVarint));
    EXPECT_EQ(LoadFraming("{raw: " + std::string(nothing) + "}"), Of(Kind::kRaw));
  }
  EXPECT_EQ(LoadFraming("{netstring}"), Of(Kind::kNetstring));
}

TEST(ConfigFramingTest, Delimiters) {
  EXPECT_EQ(LoadFraming("{line: any}"), Of(Kind::kLine));
  EXPECT_EQ(LoadFraming("{line: lf}").kind, Kind::kDelimiter);
  EXPECT_EQ(LoadFraming("{line: lf}").delimiters, std::vector<std::string>{"\n"});
  EXPECT_EQ(LoadFraming("{line: crlf}").delimiters, std::vector<std::string>{"\r\n"});
  EXPECT_EQ(LoadFraming("{delimiter: '@@'}").delimiters, std::vector<std::string>{"@@"});
  EXPECT_EQ(LoadFraming(R"({delimiter: ["\r\n", "\n"]})").delimiters,
            (std::vector<std::string>{"\r\n", "\n"}));
  EXPECT_EQ(LoadFraming("{line: any, flush_after: off}").flush_after, std::nullopt);
  EXPECT_EQ(LoadFraming("{flush_after: 1ms, line: lf}").flush_after, milliseconds(1));
}

TEST(ConfigFramingTest, LengthsByWord) {
  const struct {
    const char* text;
    LengthFieldConfig field;
  } kPresets[] = {
      {"{length: u8}", Preset(1, false)},   {"{length: u16be}", Preset(2, false)},
      {"{length: u16le}", Preset(2, true)}, {"{length: u24be}", Preset(3, false)},
      {"{length: u24le}", Preset(3, true)}, {"{length: u32be}", Preset(4, false)},
      {"{length: u32le}", Preset(4, true)}, {"{length: u64be}", Preset(8, false)},
      {"{length: u64le}", Preset(8, true)}, {"{packet: 1}", Preset(1, false)},
      {"{packet: 2}", Preset(2, false)},    {"{packet: 4}", Preset(4, false)},
  };
  for (const auto& preset : kPresets) {
    FramingConfig expected = Of(Kind::kLength);
    expected.length = preset.field;
    EXPECT_EQ(LoadFraming(preset.text), expected) << preset.text;
  }
}

TEST(ConfigFramingTest, LengthsByMap) {
  FramingConfig expected = Of(Kind::kLength);
  expected.length = LengthFieldConfig();
  expected.length.width = 2;
  EXPECT_EQ(LoadFraming("{length: {width: 2}}"), expected);
  EXPECT_EQ(expected.length.strip, 0u);
  EXPECT_FALSE(expected.length.in_replies);
  expected.length = {.width = 3, .little_endian = true, .offset = 1, .adjust = -4, .strip = 4};
  EXPECT_EQ(LoadFraming("{length: {width: 3, endian: little, offset: 1, adjust: -4, strip: 4}}"),
            expected);
  expected.length = {.width = 8, .offset = 1024, .adjust = 1 << 30, .strip = 2048};
  EXPECT_EQ(LoadFraming(
                "{length: {adjust: 1073741824, endian: big, offset: 1024, strip: 2048, width: 8}}"),
            expected);
  // The parts of a preset say the same but for the replies, which a map leaves as they are.
  EXPECT_FALSE(LoadFraming("{length: {width: 4, strip: 4}}").length.in_replies);
}

TEST(ConfigFramingTest, Fixed) {
  EXPECT_EQ(LoadFraming("{fixed: 128}").fixed_bytes, 128u);
  EXPECT_EQ(LoadFraming("{fixed: 1MiB}").fixed_bytes, 1u << 20);
  EXPECT_EQ(LoadListener("framing: {fixed: 1GiB}, limits: {max_frame: 1GiB}").framing.fixed_bytes,
            1u << 30);
}

TEST(ConfigFramingTest, WhatABoundCannotReachIsNoError) {
  EXPECT_EQ(LoadListener("framing: {length: u8}, limits: {max_frame: 1GiB}").framing.kind,
            Kind::kLength);
}

TEST(ConfigFramingTest, OptionsStandInTheMapOrBesideIt) {
  const char* const kTexts[] = {
      "framing: {netstring: , eof: discard, overlong: skip, reply_framing: line}",
      "framing: netstring, eof: discard, overlong: skip, reply_framing: line",
      "overlong: skip, reply_framing: line, eof: discard, framing: netstring",
      "eof: discard, framing: {netstring: , overlong: skip}, reply_framing: {line: any}",
  };
  for (const char* text : kTexts) {
    const ListenerConfig listener = LoadListener(text);
    EXPECT_EQ(listener.framing.kind, Kind::kNetstring) << text;
    EXPECT_EQ(listener.framing.eof, AtEof::kDiscard) << text;
    EXPECT_EQ(listener.framing.overlong, Overlong::kSkip) << text;
    EXPECT_EQ(listener.reply_framing, Of(Kind::kLine)) << text;
  }
  const ListenerConfig without = LoadListener("eof: discard, overlong: skip");
  EXPECT_EQ(without.framing.kind, Kind::kLine);
  EXPECT_EQ(without.framing.eof, AtEof::kDiscard);
  EXPECT_EQ(without.framing.overlong, Overlong::kSkip);
}

TEST(ConfigFramingTest, RepliesMayHaveAnyFraming) {
  EXPECT_EQ(LoadListener("framing: raw, reply_framing: netstring").reply_framing,
            Of(Kind::kNetstring));
  EXPECT_EQ(LoadListener("reply_framing: raw").reply_framing, Of(Kind::kRaw));
  EXPECT_EQ(LoadListener("reply_framing: {packet: 2}").reply_framing->length, Preset(2, false));
  EXPECT_EQ(LoadListener("reply_framing: {delimiter: ['@@', x]}").reply_framing->delimiters,
            (std::vector<std::string>{"@@", "x"}));
  // The bytes as they are, whatever max_frame says of requests.
  EXPECT_EQ(LoadListener("reply_framing: {fixed: 9}, limits: {max_frame: 5}").reply_framing->kind,
            Kind::kFixed);
  EXPECT_FALSE(
      LoadListener("reply_framing: {length: {width: 2}}").reply_framing->length.in_replies);
}

TEST(ParseFramingTest, EveryFraming) {
  EXPECT_EQ(ParseFraming("line")->kind, Kind::kLine);
  EXPECT_EQ(ParseFraming("raw")->kind, Kind::kRaw);
  EXPECT_EQ(ParseFraming("netstring")->kind, Kind::kNetstring);
  EXPECT_EQ(ParseFraming("varint")->kind, Kind::kVarint);
  EXPECT_EQ(ParseFraming("{delimiter: '@@', flush_after: 200ms}")->flush_after, milliseconds(200));
  EXPECT_EQ(ParseFraming("{length: u32be}")->length, Preset(4, false));
  EXPECT_EQ(ParseFraming("{packet: 2}")->length, Preset(2, false));
  EXPECT_EQ(ParseFraming("{length: {width: 2, strip: 2}}")->length.strip, 2u);
  // There is no max_frame for it to exceed.
  EXPECT_EQ(ParseFraming("{fixed: 1GiB}")->fixed_bytes, 1u << 30);
  EXPECT_EQ(ParseFraming("{varint: , eof: discard, overlong: skip}")->eof, AtEof::kDiscard);
  EXPECT_EQ(ParseFraming("{varint: , eof: discard, overlong: skip}")->overlong, Overlong::kSkip);
}

TEST(ParseFramingTest, SaysWhatIsWrong) {
  EXPECT_EQ(ParseFraming("{line: lf, eof: x, flush_after: 2}").status().message(),
            "eof cannot be \"x\" (it is deliver or discard); flush_after cannot be \"2\" (a "
            "duration needs a unit: write 2ms, 2s, 2m or 2h)");
  EXPECT_EQ(ParseFraming("{netstring: , reply_framing: line}").status().message(),
            "reply_framing cannot stand here (it has its own option)");
  EXPECT_EQ(ParseFraming("{netstring: , flush_after: 1s}").status().message(),
            "flush_after has no meaning with netstring (leave it out)");
  EXPECT_EQ(ParseFraming("u32be").status().message(),
            "framing cannot be \"u32be\" (write {length: u32be})");
  for (const char* bad : {"", "lines", "[line]", "{", "raw\n--- line", "\xff", "{fixed: 0}"}) {
    EXPECT_EQ(ParseFraming(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace bsockd
