// The tables of --dump and --hexdump. What `hexdump -C` prints was taken from util-linux 2.38.
#include "client/dump.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace bsockd {
namespace {

using std::string_literals::operator""s;

TEST(CharIntTable, ShowsCharactersEscapesAndValues) {
  EXPECT_EQ(CharIntTable("Hi \0\n\xff"s),
            "  AT    0    1    2    3    4    5\n"
            "CHAR    H    i  ' '   \\0   \\n \\xff\n"
            " INT   72  105   32    0   10  255\n");
}

TEST(CharIntTable, EscapesAsCDoes) {
  EXPECT_EQ(CharIntTable("\a\b\t\v\f\r\\\"'\x1b\x7f"),
            "  AT    0    1    2    3    4    5    6    7    8    9   10\n"
            "CHAR   \\a   \\b   \\t   \\v   \\f   \\r   \\\\    \"    ' \\x1b \\x7f\n"
            " INT    7    8    9   11   12   13   92   34   39   27  127\n");
}

TEST(CharIntTable, HasSixteenColumns) {
  EXPECT_EQ(CharIntTable("abcdefghijklmnopq"),
            "  AT    0    1    2    3    4    5    6    7    8    9   10   11   12   13   14   15\n"
            "CHAR    a    b    c    d    e    f    g    h    i    j    k    l    m    n    o    p\n"
            " INT   97   98   99  100  101  102  103  104  105  106  107  108  109  110  111  112\n"
            "\n"
            "  AT   16\n"
            "CHAR    q\n"
            " INT  113\n");
}

TEST(CharIntTable, OfNothingIsEmpty) { EXPECT_EQ(CharIntTable(""), ""); }

TEST(CharIntTable, StaysWithinAHundredColumnsAndAligned) {
  for (const size_t size : {1, 16, 10'000, 10'001, 100'000, 100'001}) {
    std::istringstream table(CharIntTable(std::string(size, '\xff')));
    std::string line;
    size_t cells = 0;
    size_t row_size = 0;
    while (std::getline(table, line)) {
      ASSERT_LE(line.size(), 100U) << size;
      if (line.starts_with("  AT")) row_size = line.size();
      ASSERT_TRUE(line.empty() || line.size() == row_size) << size;
      if (!line.starts_with("CHAR")) continue;
      for (const char c : line) cells += c == '\\';
    }
    EXPECT_EQ(cells, size);
  }
}

TEST(HexDump, OfNothingIsEmpty) { EXPECT_EQ(HexDump(""), ""); }

TEST(HexDump, EndsWithTheOffset) {
  EXPECT_EQ(HexDump("Hello\n"),
            "00000000  48 65 6c 6c 6f 0a                                 |Hello.|\n"
            "00000006\n");
}

TEST(HexDump, ShowsEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; i += 3) bytes.push_back(static_cast<char>(i));
  EXPECT_EQ(HexDump(bytes),
            "00000000  00 03 06 09 0c 0f 12 15  18 1b 1e 21 24 27 2a 2d  |...........!$'*-|\n"
            "00000010  30 33 36 39 3c 3f 42 45  48 4b 4e 51 54 57 5a 5d  |0369<?BEHKNQTWZ]|\n"
            "00000020  60 63 66 69 6c 6f 72 75  78 7b 7e 81 84 87 8a 8d  |`cfilorux{~.....|\n"
            "00000030  90 93 96 99 9c 9f a2 a5  a8 ab ae b1 b4 b7 ba bd  |................|\n"
            "00000040  c0 c3 c6 c9 cc cf d2 d5  d8 db de e1 e4 e7 ea ed  |................|\n"
            "00000050  f0 f3 f6 f9 fc ff                                 |......|\n"
            "00000056\n");
}

TEST(HexDump, SqueezesRepeatedLines) {
  EXPECT_EQ(HexDump(std::string(64, 'a') + std::string(16, 'b') + std::string(20, 'a')),
            "00000000  61 61 61 61 61 61 61 61  61 61 61 61 61 61 61 61  |aaaaaaaaaaaaaaaa|\n"
            "*\n"
            "00000040  62 62 62 62 62 62 62 62  62 62 62 62 62 62 62 62  |bbbbbbbbbbbbbbbb|\n"
            "00000050  61 61 61 61 61 61 61 61  61 61 61 61 61 61 61 61  |aaaaaaaaaaaaaaaa|\n"
            "00000060  61 61 61 61                                       |aaaa|\n"
            "00000064\n");
}

TEST(HexDump, SqueezesUpToTheEnd) {
  EXPECT_EQ(HexDump(std::string(48, '\0')),
            "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
            "*\n"
            "00000030\n");
}

}  // namespace
}  // namespace bsockd
