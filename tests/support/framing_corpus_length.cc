// `length` and `packet`.
#include "tests/support/framing_corpus_parts.h"

namespace bsockd::testing {
namespace {

using namespace std::string_literals;  // NOLINT: for NUL bytes.

// LengthFieldBasedFrameDecoderTest (both packages) and the examples in the decoder's
// documentation. Netty's maximum counts the whole frame, max_frame what is left of it.
Cases NettyLengths() {
  const std::string hello = "HELLO, WORLD";
  const std::string before = "\xCA\0\x0C\xFE"s + hello;
  const std::string whole_before = "\xCA\0\x10\xFE"s + hello;
  const std::string cafe = "\xCA\xFE\0\0\x0C"s + hello;
  const std::string after = "\0\0\x0C\xCA\xFE"s + hello;
  const std::string too_long = "\0\0\0\x20"s + std::string(32, 'x') + "\0\0\0\1a"s;
  const std::string recover = "\0\0\0\2\0\0\0\0\0\1A"s;
  return {
      {"NettyDiscardTooLongFrame",
       "{length: {width: 4}, overlong: skip}",
       16,
       too_long,
       {Error("overlong"), Bare("\0\0\0\1a"s)}},
      {"NettyTooLongFrameRecovery",
       "{length: u32be, overlong: skip}",
       1,
       recover + recover,
       {Error("overlong"), After("\0\0\0\1"s, "A"), Error("overlong"), After("\0\0\0\1"s, "A")}},
      {"NettyHeaderKept",
       "{length: {width: 2}}",
       kPlenty,
       "\0\x0C"s + hello,
       {Bare("\0\x0C"s + hello)}},
      {"NettyHeaderStripped",
       "{length: {width: 2, strip: 2}}",
       kPlenty,
       "\0\x0C"s + hello,
       {Bare(hello)}},
      {"NettyLengthOfWholeMessage",
       "{length: {width: 2, adjust: -2}}",
       kPlenty,
       "\0\x0E"s + hello,
       {Bare("\0\x0E"s + hello)}},
      {"NettyLengthAfterOffset", "{length: {width: 3, offset: 2}}", kPlenty, cafe, {Bare(cafe)}},
      {"NettyLengthBeforeMoreHeader",
       "{length: {width: 3, adjust: 2}}",
       kPlenty,
       after,
       {Bare(after)}},
      {"NettyLengthInTheMiddle",
       "{length: {width: 2, offset: 1, adjust: 1, strip: 3}}",
       kPlenty,
       before,
       {Bare("\xFE" + hello)}},
      {"NettyLengthOfWholeInTheMiddle",
       "{length: {width: 2, offset: 1, adjust: -3, strip: 3}}",
       kPlenty,
       whole_before + whole_before,
       {Bare("\xFE" + hello), Bare("\xFE" + hello)}},
      {"NettyNegativeLength",
       "{length: u64be}",
       kPlenty,
       "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
       {Error("malformed")}},
      {"NettyFrameShorterThanItsHeader",
       "{length: {width: 2, adjust: -2}}",
       kPlenty,
       "\0\1"s,
       {Error("malformed")}},
      {"NettyFrameShorterThanStrip",
       "{length: {width: 1, strip: 4}}",
       kPlenty,
       "\3abc\2ab",
       {Bare(""), Error("malformed")}},
  };
}

// LengthFieldPrependerTest: what replies look like. (Only lengths of the payload alone.)
Cases NettyPrepender() {
  Cases cases;
  for (const size_t width : {1, 2, 3, 4, 8}) {
    const std::string preset = "u" + std::to_string(8 * width);
    const std::string big = BigEndian(width, 1);
    cases.push_back({"NettyPrepend" + std::to_string(width),
                     "{length: " + preset + "be}",
                     kPlenty,
                     big + "A",
                     {After(big, "A")}});
    if (width == 1) {
      cases.back().framing = "{length: u8}";
      continue;
    }
    const std::string little = LittleEndian(width, 1);
    cases.push_back({"NettyPrependLittleEndian" + std::to_string(width),
                     "{length: " + preset + "le}",
                     kPlenty,
                     little + "A",
                     {After(little, "A")}});
  }
  return cases;
}

// tokio-util tests/length_delimited.rs. There num_skip bytes are dropped and then as many read as
// the length says: in Netty's terms adjust is num_skip + length_adjustment - (offset + width).
Cases TokioLengths() {
  const std::string three =
      "\0\0\0\x09"s + "abcdefghi" + "\0\0\0\3"s + "123" + "\0\0\0\x0B"s + "hello world";
  const Answers three_answers = {After("\0\0\0\x09"s, "abcdefghi"), After("\0\0\0\3"s, "123"),
                                 After("\0\0\0\x0B"s, "hello world")};
  const std::string with_heads =
      "xx\0\x09"s + "abcdefghi" + "yy\0\3"s + "123" + "zz\0\x0B"s + "hello world";
  return {
      {"TokioEmpty", "{length: u32be}", kPlenty, "", {}},
      {"TokioMultiFrame", "{length: u32be}", kPlenty, three, three_answers},
      {"TokioLittleEndian",
       "{length: u32le}",
       kPlenty,
       "\x09\0\0\0"s + "abcdefghi",
       {After("\x09\0\0\0"s, "abcdefghi")}},
      {"TokioIncompleteHead", "{length: u32be}", kPlenty, "\0\0"s, {Error("truncated")}},
      {"TokioIncompletePayload",
       "{length: u32be}",
       kPlenty,
       "\0\0\0\x09"s + "abcd",
       {Error("truncated")}},
      {"TokioMaxFrameLength",
       "{length: u32be}",
       5,
       "\0\0\0\x09"s + "abcdefghi",
       {Error("overlong")}},
      {"TokioOneByteLength",
       "{length: u8}",
       kPlenty,
       "\x09"s + "abcdefghi",
       {After("\x09", "abcdefghi")}},
      {"TokioHeaderOffset",
       "{length: {width: 2, offset: 4, strip: 6}}",
       kPlenty,
       "zzzz\0\x09"s + "abcdefghi",
       {Bare("abcdefghi")}},
      {"TokioSkipNoneAdjusted",
       "{length: {width: 2, offset: 2}}",
       kPlenty,
       with_heads,
       {Bare("xx\0\x09"s + "abcdefghi"), Bare("yy\0\3"s + "123"),
        Bare("zz\0\x0B"s + "hello world")}},
      {"TokioLengthAdjusted",
       "{length: {width: 3, adjust: 1, strip: 4}}",
       kPlenty,
       "\0\0\x0B\x0C"s + "Hello world",
       {Bare("Hello world")}},
      {"TokioLengthIncludesHead",
       "{length: {width: 2, adjust: -2, strip: 2}}",
       kPlenty,
       "\0\x0B"s + "abcdefghi" + "\0\5"s + "123" + "\0\x0D"s + "hello world",
       {Bare("abcdefghi"), Bare("123"), Bare("hello world")}},
  };
}

// decode_packet_SUITE, packet 1, 2 and 4: basic and packet_size. What Erlang calls negative sizes
// (with OTP-8102) are overlong here: a u32be is not signed.
Cases ErlangPackets() {
  const std::string packet = "\x65\x16\xCB\x36\xAF";
  const std::string rest = "\x7B\x22\0\xFA"s;
  Cases cases;
  for (const size_t width : {1, 2, 4}) {
    const std::string number = std::to_string(width);
    const std::string framing = "{packet: " + number + "}";
    const std::string header = BigEndian(width, packet.size());
    const std::string empty = BigEndian(width, 0);
    cases.push_back({"ErlangPacket" + number + "Basic",
                     "{packet: " + number + ", eof: discard}",
                     kPlenty,
                     header + packet + BigEndian(width, 5) + rest,
                     {After(header, packet)}});
    cases.push_back({"ErlangPacket" + number + "More",
                     framing,
                     kPlenty,
                     header + "\1\2\3\4",
                     {Error("truncated")}});
    cases.push_back({"ErlangPacket" + number + "Empty",
                     framing,
                     kPlenty,
                     empty + header + packet + empty,
                     {After(empty, ""), After(header, packet), After(empty, "")}});
    cases.push_back(
        {"ErlangPacket" + number + "Size4", framing, 4, header + packet, {Error("overlong")}});
    cases.push_back(
        {"ErlangPacket" + number + "Size5", framing, 5, header + packet, {After(header, packet)}});
  }
  for (const int size : {-10, -1}) {
    cases.push_back({"ErlangNegativeSize" + std::to_string(-size),
                     "{packet: 4}",
                     kPlenty,
                     BigEndian(4, static_cast<uint32_t>(size)) + packet,
                     {Error("overlong")}});
  }
  return cases;
}

// FramingSpec, "Length field based framing", which keeps whole frames and counts them whole; and
// simpleFramingProtocol, which is u32be.
Cases PekkoLengths() {
  Cases cases;
  for (const bool little : {false, true}) {
    for (const size_t width : {1, 2, 3, 4}) {
      for (const size_t offset : {0, 1, 3, 16, 107}) {
        CorpusCase test;
        test.name = "PekkoWidth" + std::to_string(width) + "Offset" + std::to_string(offset) +
                    (little ? "LittleEndian" : "BigEndian");
        test.framing = "{length: {width: " + std::to_string(width) +
                       ", offset: " + std::to_string(offset) +
                       (little ? ", endian: little}}" : "}}");
        test.max_frame = kPlenty;
        for (const size_t length : {0, 1, 2, 3, 0xFF, 0x100, 0x101}) {
          if (width == 1 && length > 0xFF) continue;
          const std::string frame =
              std::string(offset, '\0') +
              (little ? LittleEndian(width, length) : BigEndian(width, length)) +
              std::string(length, 'p');
          test.input += frame;
          test.answers.push_back(Bare(frame));
        }
        cases.push_back(test);
        test.name += "Truncated";
        test.input.pop_back();
        test.answers.back() = Error("truncated");
        if (offset == 3) cases.push_back(std::move(test));
      }
    }
  }
  const std::string hundred = "\x64" + std::string(100, 'x');
  const Cases more = {
      {"PekkoEmptyStream", "{length: u32be}", kPlenty, "", {}},
      {"PekkoGrouped", "{length: {width: 1}}", kPlenty, Times(5, hundred),
       Answers(5, Bare(hundred))},
      {"PekkoOversized", "{length: {width: 1}}", 100, hundred, {Error("overlong")}},
      {"PekkoOversizedByItsOffset",
       "{length: {width: 1, offset: 49}}",
       100,
       std::string(49, '\0') + hundred,
       {Error("overlong")}},
      {"PekkoSimpleFramingProtocol",
       "{length: u32be}",
       1024,
       BigEndian(4, 1024) + std::string(1024, 'x') + "\0\0\0\0"s + BigEndian(4, 1025),
       {After(BigEndian(4, 1024), std::string(1024, 'x')), After("\0\0\0\0"s, ""),
        Error("overlong")}},
      {"PekkoNegativeLength",
       "{length: u32le}",
       1000,
       LittleEndian(4, uint32_t(-4)),
       {Error("overlong")}},
      {"PekkoFrameWithTail",  // A frame size that the number does not say alone.
       "{length: {width: 1, adjust: 3}}",
       kPlenty,
       "\2ab..."s + "\0..."s,
       {Bare("\2ab..."), Bare("\0..."s)}},
      {"PekkoFrameSizeLessThanItsHeader",
       "{length: {width: 4, endian: little, adjust: -5}}",
       1000,
       "\4\0\0\0"s,
       {Error("malformed")}},
      {"PekkoZeroLengths",
       "{length: u32le}",
       1000,
       "\0\0\0\0\1\0\0\0*\0\0\0\0"s,
       {After("\0\0\0\0"s, ""), After("\1\0\0\0"s, "*"), After("\0\0\0\0"s, "")}},
  };
  cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

// test_basic.py: Int8StringReceiver, Int16StringReceiver, Int32StringReceiver.
Cases TwistedInts() {
  Cases cases;
  for (const size_t width : {1, 2, 4}) {
    const std::string name = "TwistedInt" + std::to_string(8 * width);
    const std::string framing =
        width == 1 ? "{length: u8}" : "{length: u" + std::to_string(8 * width) + "be}";
    const std::string sixteen(16, 'b');
    cases.push_back({name + "Receive",
                     framing,
                     50,
                     BigEndian(width, 1) + "a" + BigEndian(width, 16) + sixteen,
                     {After(BigEndian(width, 1), "a"), After(BigEndian(width, 16), sixteen)}});
    cases.push_back(
        {name + "LengthLimitExceeded", framing, 10, BigEndian(width, 11), {Error("overlong")}});
    cases.push_back({name + "LongStringNotDelivered",
                     framing,
                     10,
                     BigEndian(width, 11) + std::string(11, 'x'),
                     {Error("overlong")}});
    cases.push_back({name + "RemainingData",
                     framing,
                     50,
                     BigEndian(width, 5) + "aaaaa" + BigEndian(width, 5) + "bbbb",
                     {After(BigEndian(width, 5), "aaaaa"), Error("truncated")}});
  }
  const Cases more = {
      {"TwistedInt8Partial", "{length: u8, eof: discard}", kPlenty, "\x08", {}},
      {"TwistedInt16Partial", "{length: u16be, eof: discard}", 65535, "hello there", {}},
      {"TwistedInt32Partial", "{length: u32be, eof: discard}", kPlenty, "\0\0\0"s, {}},
      {"TwistedInt32Illegal", "{length: u32be}", kPlenty, "\x10\0\0\0aaaaaa"s, {Error("overlong")}},
  };
  cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

Cases OwnLengths() {
  return {
      {"LargestU8",
       "{length: u8}",
       255,
       "\xFF" + std::string(255, 'x') + "\0"s,
       {After("\xFF", std::string(255, 'x')), After("\0"s, "")}},
      {"LargestLengthOfAllIsSkipped",
       "{length: u64be, overlong: skip}",
       4,
       "\0\0\0\0\0\0\0\1a\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s + "all of this is skipped",
       {After(BigEndian(8, 1), "a"), Error("overlong")}},
      {"OneMoreIsNoLength",
       "{length: u64be, overlong: skip}",
       4,
       "\x80\0\0\0\0\0\0\0abc"s,
       {Error("malformed")}},
      {"LargestLengthAndLargestAdjust",
       "{length: {width: 8, adjust: 1073741824}, overlong: skip}",
       4,
       "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF" + "all of this is skipped"s,
       {Error("overlong")}},
      {"LengthMinusMoreThanItSays",
       "{length: {width: 4, adjust: -1073741824}}",
       4,
       "\0\0\0\5hello"s,
       {Error("malformed")}},
      {"HeaderShorterThanStrip",
       "{length: {width: 1, strip: 3}}",
       4,
       "\2ab\6abcdef",
       {Bare(""), Bare("cdef")}},
      {"OverlongAndNothingElse",
       "{length: u16be, overlong: skip}",
       4,
       "\0\5hello\0\2ok\0\6hello!\0\0"s,
       {Error("overlong"), After("\0\2"s, "ok"), Error("overlong"), After("\0\0"s, "")}},
      {"OverlongToTheEnd", "{length: u16be, overlong: skip}", 4, "\0\5hel"s, {Error("overlong")}},
      {"TruncatedIsDiscarded",
       "{length: u16be, eof: discard}",
       4,
       "\0\2ok\0\2o"s,
       {After("\0\2"s, "ok")}},
  };
}

}  // namespace

void AddLengthCases(std::vector<CorpusCase>* corpus) {
  Add(NettyLengths(), corpus);
  Add(NettyPrepender(), corpus);
  Add(TokioLengths(), corpus);
  Add(ErlangPackets(), corpus);
  Add(PekkoLengths(), corpus);
  Add(TwistedInts(), corpus);
  Add(OwnLengths(), corpus);
}

}  // namespace bsockd::testing
