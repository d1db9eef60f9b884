// `netstring`, `varint` and `fixed`.
#include "tests/support/framing_corpus_parts.h"

namespace bsockd::testing {
namespace {

using namespace std::string_literals;  // NOLINT: for NUL bytes.

// test_basic.py: NetstringReceiver.
Cases TwistedNetstrings() {
  CorpusCase strings{"TwistedNetstrings", "netstring", 699, "", {}};
  for (const std::string& text :
       {"hello"s, "world"s, "how"s, "are"s, "you123"s, ":today"s, std::string(515, 'a')}) {
    strings.input += Netstring(text);
    strings.answers.push_back(AsNetstring(text));
  }
  const auto malformed = [](std::string name, std::string input) {
    return CorpusCase{
        "TwistedNetstring" + name, "netstring", 50, std::move(input), {Error("malformed")}};
  };
  return {
      strings,
      {"TwistedNetstringEmpty", "netstring", 50, "0:,", {AsNetstring("")}},
      {"TwistedNetstringOneCharacter", "netstring", 50, "1:a,", {AsNetstring("a")}},
      {"TwistedNetstringNested", "netstring", 50, "4:1:a,,", {AsNetstring("1:a,")}},
      {"TwistedNetstringPortions", "netstring", 50, "10:0123456789,", {AsNetstring("0123456789")}},
      {"TwistedTwoNetstrings", "netstring", 50, "1:a,1:b,", {AsNetstring("a"), AsNetstring("b")}},
      {"TwistedNetstringMaximum",
       "netstring",
       12,
       "12:0123456789ab,",
       {AsNetstring("0123456789ab")}},
      {"TwistedNetstringOverMaximum", "netstring", 11, "12:", {Error("overlong")}},
      {"TwistedNetstringFarOverMaximum", "netstring", 11, "1000:", {Error("overlong")}},
      {"TwistedNetstringNumberTooLong",
       "netstring",
       50,
       "9999999999999999999999",
       {Error("overlong")}},
      {"TwistedNetstringOverLimit",
       "netstring",
       50,
       "51:" + std::string(50, 'a') + "b,",
       {Error("overlong")}},
      malformed("NoNumber", "abc"),
      malformed("MoreThanItSays", "4:abcde"),
      malformed("MoreDataThanSpecified", "2:aaa,"),
      malformed("MoreDataThanNone", "0:a,"),
      malformed("MissingNumber", ":aaa,"),
      malformed("MissingColon", "3aaa,"),
      malformed("MissingNumberAndColon", "aaa,"),
      malformed("OnlyData", "aaa"),
  };
}

Cases OwnNetstrings() {
  const std::string skip = "{netstring: , overlong: skip}";
  return {
      {"NetstringLeadingZero",
       "netstring",
       50,
       "1:a,01:a,",
       {AsNetstring("a"), Error("malformed")}},
      {"NetstringTwoZeros", "netstring", 50, "00:,", {Error("malformed")}},
      {"NetstringSign", "netstring", 50, "+1:a,", {Error("malformed")}},
      {"NetstringSpace", "netstring", 50, "1 :a,", {Error("malformed")}},
      {"NetstringTruncatedInNumber",
       "netstring",
       50,
       "1:a,1",
       {AsNetstring("a"), Error("truncated")}},
      {"NetstringTruncatedInPayload", "netstring", 50, "5:hel", {Error("truncated")}},
      {"NetstringTruncatedBeforeComma", "netstring", 50, "5:hello", {Error("truncated")}},
      {"NetstringTruncatedIsDiscarded",
       "{netstring: , eof: discard}",
       50,
       "1:a,5:hello",
       {AsNetstring("a")}},
      {"NetstringSkipped",
       skip,
       4,
       "5:hello,2:ok,10:0123456789,0:,",
       {Error("overlong"), AsNetstring("ok"), Error("overlong"), AsNetstring("")}},
      {"NetstringSkippedWithoutComma",
       skip,
       4,
       "5:hello;2:ok,",
       {Error("overlong"), Error("malformed")}},
      {"NetstringSkippedToTheEnd", skip, 4, "5:hello", {Error("overlong")}},
      {"NetstringOf18Digits", skip, 4, "999999999999999999:and so on", {Error("overlong")}},
      {"NetstringOf19Digits", skip, 4, "1000000000000000000:2:ok,", {Error("overlong")}},
  };
}

// ProtobufVarint32FrameDecoderTest, and the encodings of the protobuf documentation.
Cases Varints() {
  const std::string ones(2046, '\1');
  return {
      {"NettyVarintTiny", "varint", kPlenty, "\4\1\1\1\1", {After("\4", "\1\1\1\1")}},
      {"NettyVarintRegular", "varint", kPlenty, "\xFE\x0F" + ones, {After("\xFE\x0F", ones)}},
      {"ProtobufVarint150",
       "varint",
       kPlenty,
       "\x96\x01" + std::string(150, 'x'),
       {After("\x96\x01", std::string(150, 'x'))}},
      {"VarintEmpty",
       "varint",
       kPlenty,
       "\0\1a\0"s,
       {After("\0"s, ""), After("\1", "a"), After("\0"s, "")}},
      {"VarintLongerThanNeeded",
       "varint",
       kPlenty,
       "\x85\0hello\x80\x80\x80\x80\0\1a"s,
       {After("\5", "hello"), After("\0"s, ""), After("\1", "a")}},
      {"VarintOfSixBytes", "varint", kPlenty, "\x81\x80\x80\x80\x80\0a"s, {Error("malformed")}},
      {"VarintOf33Bits", "varint", kPlenty, "\xFF\xFF\xFF\xFF\x1F", {Error("malformed")}},
      {"VarintLargest",
       "{varint: , overlong: skip}",
       4,
       "\xFF\xFF\xFF\xFF\x0F"
       "and so on",
       {Error("overlong")}},
      {"VarintOverMaximum", "varint", 4, "\4abcd\5abcde", {After("\4", "abcd"), Error("overlong")}},
      {"VarintSkipped",
       "{varint: , overlong: skip}",
       4,
       "\5hello\2ok\x8A\0"
       "0123456789\0"s,
       {Error("overlong"), After("\2", "ok"), Error("overlong"), After("\0"s, "")}},
      {"VarintTruncatedInNumber",
       "varint",
       kPlenty,
       "\1a\x80",
       {After("\1", "a"), Error("truncated")}},
      {"VarintTruncatedInPayload", "varint", kPlenty, "\5hell", {Error("truncated")}},
      {"VarintTruncatedIsDiscarded", "{varint: , eof: discard}", kPlenty, "\5hell", {}},
  };
}

// FixedLengthFrameDecoder of Netty, which keeps an unfinished frame to itself.
Cases Fixed() {
  return {
      {"NettyFixed",
       "{fixed: 3}",
       3,
       "\0\1\2\3\4\5\6\7\x08"s,
       {Bare("\0\1\2"s), Bare("\3\4\5"), Bare("\6\7\x08")}},
      {"NettyFixedLeftover", "{fixed: 3, eof: discard}", 3, "abcd", {Bare("abc")}},
      {"FixedTruncated", "{fixed: 3}", 3, "abcd", {Bare("abc"), Error("truncated")}},
      {"FixedOfOneByte", "{fixed: 1}", 3, "a\n\0"s, {Bare("a"), Bare("\n"), Bare("\0"s)}},
  };
}

}  // namespace

void AddCountedCases(std::vector<CorpusCase>* corpus) {
  Add(TwistedNetstrings(), corpus);
  Add(OwnNetstrings(), corpus);
  Add(Varints(), corpus);
  Add(Fixed(), corpus);
}

}  // namespace bsockd::testing
