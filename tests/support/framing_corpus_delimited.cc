// `line` and `delimiter`.
#include "tests/support/framing_corpus_parts.h"

namespace bsockd::testing {
namespace {

using namespace std::string_literals;  // NOLINT: for NUL bytes.

// LineBasedFrameDecoderTest, DelimiterBasedFrameDecoderTest (both packages). Its decoders keep an
// unterminated rest to themselves, as `eof: discard` does, and go on after a frame that is too
// long.
Cases NettyLines() {
  const std::string lines = R"({delimiter: ["\r\n", "\n"], eof: discard})";
  const std::string skip = R"({line: any, eof: discard, overlong: skip})";
  const std::string nul = R"({delimiter: "\0", overlong: skip})";
  return {
      {"NettyLineDecode",
       "{line: any, eof: discard}",
       kPlenty,
       "first\r\nsecond\nthird",
       {Ended("first", "\r\n"), Ended("second", "\n")}},
      {"NettyLineTooLong",
       skip,
       16,
       "12345678901234567890\r\nfirst\nsecond",
       {Error("overlong"), Ended("first", "\n")}},
      {"NettyLineTooLongByItsRest",
       skip,
       16,
       "12345678901234567890\r\nfirst\r\n",
       {Error("overlong"), Ended("first", "\r\n")}},
      {"NettyLineTooLongInThree",
       skip,
       16,
       "12345678901234567890123\r\nfirst\r\n",
       {Error("overlong"), Ended("first", "\r\n")}},
      {"NettyLineSplitsCorrectly",
       "line",
       kPlenty,
       "line\r\n.\r\n",
       {Ended("line", "\r\n"), Ended(".", "\r\n")}},
      {"NettyDelimiterMultipleLines",
       lines,
       kPlenty,
       "TestLine\r\ng\r\n",
       {Ended("TestLine", "\r\n"), Ended("g", "\r\n")}},
      {"NettyDelimiterDecode",
       lines,
       kPlenty,
       "first\r\nsecond\nthird",
       {Ended("first", "\r\n"), Ended("second", "\n")}},
      {"NettyDelimiterTooLongRecovery",
       nul,
       1,
       "\1\2\0A\0\1\2\0A\0"s,
       {Error("overlong"), Ended("A", "\0"s), Error("overlong"), Ended("A", "\0"s)}},
  };
}

// tokio-util tests/codecs.rs: LinesCodec and AnyDelimiterCodec. LinesCodec counts the CR before an
// LF as a byte of the line; max_frame does not.
Cases TokioLines() {
  const std::string skip = "{line: any, overlong: skip}";
  const std::string any = R"({delimiter: [",", ";", "\n", "\r"]})";
  const std::string any_skip = R"({delimiter: [",", ";", "\n", "\r"], overlong: skip})";
  return {
      {"TokioLines",
       "line",
       kPlenty,
       "line 1\nline 2\r\nline 3\n\r\n\rk",
       {Ended("line 1", "\n"), Ended("line 2", "\r\n"), Ended("line 3", "\n"), Ended("", "\r\n"),
        Bare("\rk")}},
      {"TokioLinesMaxLength",
       skip,
       6,
       "line 1 is too long\nline 2\nline 3+\r\nline 4\n\r\n\rk",
       {Error("overlong"), Ended("line 2", "\n"), Error("overlong"), Ended("line 4", "\n"),
        Ended("", "\r\n"), Bare("\rk")}},
      {"TokioLinesOneTooManyAtTheEnd", skip, 6, "aaabbbc", {Error("overlong")}},
      {"TokioLinesUnderrun",
       skip,
       6,
       "line too long\nline 2\n",
       {Error("overlong"), Ended("line 2", "\n")}},
      {"TokioLinesBurst", "line", 10, "line too long!\n", {Error("overlong")}},
      {"TokioLinesNewlineBetweenDecodes",
       "line",
       5,
       "hello\nworld",
       {Ended("hello", "\n"), Bare("world")}},
      {"TokioLinesDiscardRepeat", skip, 1, "aaa", {Error("overlong")}},
      {"TokioLinesUnderrunTwice",
       skip,
       11,
       "line too very l" + std::string(23, 'a') + "ong\nshort\n",
       {Error("overlong"), Ended("short", "\n")}},
      {"TokioAnyDelimiter",
       any,
       kPlenty,
       "chunk 1,chunk 2;chunk 3\n\rk",
       {Ended("chunk 1", ","), Ended("chunk 2", ";"), Ended("chunk 3", "\n"), Ended("", "\r"),
        Bare("k")}},
      {"TokioAnyDelimiterMaxLength",
       any_skip,
       7,
       "chunk 1 is too long\nchunk 2\nchunk 3\r\nchunk 4\n\r\nk",
       {Error("overlong"), Ended("chunk 2", "\n"), Ended("chunk 3", "\r"), Ended("", "\n"),
        Ended("chunk 4", "\n"), Ended("", "\r"), Ended("", "\n"), Bare("k")}},
      {"TokioAnyDelimiterOneTooMany", any_skip, 7, "aaabbbcc", {Error("overlong")}},
      {"TokioAnyDelimiterUnderrun",
       any_skip,
       7,
       "chunk too long\nchunk 2,",
       {Error("overlong"), Ended("chunk 2", ",")}},
      {"TokioAnyDelimiterBetweenDecodes",
       any,
       5,
       "hello,world",
       {Ended("hello", ","), Bare("world")}},
      {"TokioAnyDelimiterSequence",
       R"({delimiter: ";--;"})",
       kPlenty,
       "chunk 1;--;chunk 2;--;",
       {Ended("chunk 1", ";--;"), Ended("chunk 2", ";--;")}},
  };
}

// FramingSpec, "Delimiter bytes based framing": every sequence behind every beginning of the
// delimiter, and maximum lengths.
Cases PekkoDelimiters() {
  const std::string lf = R"({delimiter: "\n"})";
  Cases cases = {
      {"PekkoMaximumLine",
       lf,
       1,
       "a\nb\nc\nd\n",
       {Ended("a", "\n"), Ended("b", "\n"), Ended("c", "\n"), Ended("d", "\n")}},
      {"PekkoOverMaximumLine", lf, 1, "ab\n", {Error("overlong")}},
      {"PekkoOverMaximumLineUnended", lf, 2, "aaa", {Error("overlong")}},
      {"PekkoDelimiterEmptyStream", lf, kPlenty, "", {}},
      {"PekkoDelimiterTruncationAllowed", lf, kPlenty, "I have no end", {Bare("I have no end")}},
      {"PekkoDelimiterTruncationNotAllowed",
       R"({delimiter: "\n", eof: discard})",
       kPlenty,
       "I have no end",
       {}},
  };
  const std::vector<std::pair<std::string, std::string>> delimiters = {
      {"Lf", "\n"}, {"CrLf", "\r\n"}, {"Foo", "FOO"}};
  for (const auto& [name, delimiter] : delimiters) {
    const std::string yaml = delimiter == "\n" ? "\\n" : delimiter == "\r\n" ? "\\r\\n" : delimiter;
    CorpusCase test{"PekkoDelimiter" + name, "{delimiter: \"" + yaml + "\"}", 256, "", {}};
    for (size_t prefix = 0; prefix < delimiter.size(); ++prefix) {
      for (const std::string& sequence : {""s, "foo"s, "hello world"s}) {
        const std::string payload = delimiter.substr(0, prefix) + sequence;
        test.input += payload + delimiter;
        test.answers.push_back(Ended(payload, delimiter));
      }
    }
    cases.push_back(std::move(test));
  }
  return cases;
}

// decode_packet_SUITE, `line`: there the LF is part of the line, and packet_size counts it.
Cases ErlangLines() {
  CorpusCase text{"ErlangLine", "line", kPlenty, "", {}};
  for (const std::string& line :
       {"POST /invalid/url HTTP/1.1"s, "Connection: close"s, "Host\t : localhost:8000"s, ""s}) {
    text.input += line + "\r\n";
    text.answers.push_back(Ended(line, "\r\n"));
  }
  text.input += "The residue";
  text.answers.push_back(Bare("The residue"));
  return {
      text,
      {"ErlangLinePacketSize",
       "line",
       19,
       "0123456789012345678\n0123456789\n01234567890123456789\n",
       {Ended("0123456789012345678", "\n"), Ended("0123456789", "\n"), Error("overlong")}},
  };
}

// test_basic.py: LineReceiver and LineOnlyReceiver.
Cases TwistedLines() {
  const std::string crlf = "{line: crlf}";
  return {
      {"TwistedLineOnly",
       "{line: lf}",
       64,
       "foo\nbleakness\ndesolation\nplastic forks\n",
       {Ended("foo", "\n"), Ended("bleakness", "\n"), Ended("desolation", "\n"),
        Ended("plastic forks", "\n")}},
      {"TwistedLinesAtOnce",
       crlf,
       64,
       "foo\r\nbar\r\nbaz",
       {Ended("foo", "\r\n"), Ended("bar", "\r\n"), Bare("baz")}},
      {"TwistedMaximumLine", crlf, 64, std::string(65, 'x') + "\r\nr", {Error("overlong")}},
      {"TwistedMaximumLineUnended", crlf, 64, std::string(66, 'x'), {Error("overlong")}},
      {"TwistedMaximumLinePartialDelimiter",
       crlf,
       4,
       "xxxx\r\nxxxx",
       {Ended("xxxx", "\r\n"), Bare("xxxx")}},
      {"TwistedNotQuiteMaximumLine", "{line: crlf, eof: discard}", 4, "xxxx\r", {}},
      {"TwistedLongLineAfterShortLine",
       crlf,
       6,
       "x\r\n" + std::string(14, 'x'),
       {Ended("x", "\r\n"), Error("overlong")}},
      {"TwistedMultipleLongLines",
       "{line: crlf, overlong: skip}",
       6,
       Times(2, std::string(14, 'x') + "\r\n"),
       {Error("overlong"), Error("overlong")}},
  };
}

Cases OwnDelimiters() {
  const std::string lecture = R"({delimiter: ["@@", "\r\n", "\n"]})";
  return {
      {"LectureClientsTogether",
       lecture,
       kPlenty,
       "AWESOMESAUCE@@AWESOMESAUCE\nAWESOMESAUCE\r\nAWESOMESAUCE",
       {Ended("AWESOMESAUCE", "@@"), Ended("AWESOMESAUCE", "\n"), Ended("AWESOMESAUCE", "\r\n"),
        Bare("AWESOMESAUCE")}},
      {"OneCarriageReturnOnly", "line", kPlenty, "a\r\r\n", {Ended("a\r", "\r\n")}},
      {"CarriageReturnKept", "{line: lf}", kPlenty, "a\r\n", {Ended("a\r", "\n")}},
      {"LineFeedKept", "{line: crlf}", kPlenty, "a\nb\r\n", {Ended("a\nb", "\r\n")}},
      {"EmptyFrames",
       lecture,
       kPlenty,
       "@@@@\n\r\n",
       {Ended("", "@@"), Ended("", "@@"), Ended("", "\n"), Ended("", "\r\n")}},
      {"LongestOfThoseThatEndTogether",
       R"({delimiter: ["c", "bc", "abc"]})",
       kPlenty,
       "xabcxbcxc",
       {Ended("x", "abc"), Ended("x", "bc"), Ended("x", "c")}},
      {"DelimiterOf64Bytes",
       "{delimiter: \"" + std::string(64, '=') + "\"}",
       70,
       std::string(63, '=') + "x" + std::string(130, '='),
       {Ended(std::string(63, '=') + "x", std::string(64, '=')), Ended("", std::string(64, '=')),
        Bare("==")}},
      {"SkipsThroughHalfDelimiters",
       R"({delimiter: "--end--", overlong: skip})",
       4,
       "01234567--end-end----end--ok--end--",
       {Error("overlong"), Ended("ok", "--end--")}},
      {"OverlongOfEachLectureEnding",
       R"({delimiter: ["@@", "\r\n", "\n"], overlong: skip})",
       4,
       "hello@@ok\nhello\r\nok@@hello@\nok\r\n",
       {Error("overlong"), Ended("ok", "\n"), Error("overlong"), Ended("ok", "@@"),
        Error("overlong"), Ended("ok", "\r\n")}},
  };
}

}  // namespace

void AddDelimitedCases(std::vector<CorpusCase>* corpus) {
  Add(NettyLines(), corpus);
  Add(TokioLines(), corpus);
  Add(PekkoDelimiters(), corpus);
  Add(ErlangLines(), corpus);
  Add(TwistedLines(), corpus);
  Add(OwnDelimiters(), corpus);
}

}  // namespace bsockd::testing
