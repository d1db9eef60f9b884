#include "client/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace bsockd {
namespace {

constexpr size_t kTableColumnsMax = 16;
constexpr size_t kTableWidthMax = 100;
constexpr size_t kLabelWidth = 4;
constexpr size_t kCellWidthMin = 5;  // A blank and the widest escape, "\xff".
constexpr size_t kHexdumpLine = 16;

bool IsPrintable(char c) { return c >= 0x20 && c < 0x7F; }

std::string CellOf(char c) {
  switch (c) {
    case '\0':
      return "\\0";
    case '\a':
      return "\\a";
    case '\b':
      return "\\b";
    case '\t':
      return "\\t";
    case '\n':
      return "\\n";
    case '\v':
      return "\\v";
    case '\f':
      return "\\f";
    case '\r':
      return "\\r";
    case '\\':
      return "\\\\";
    case ' ':
      return "' '";
    default:
      break;
  }
  if (IsPrintable(c)) return std::string(1, c);
  return fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
}

void AppendHexdumpLine(size_t offset, std::string_view line, std::string* out) {
  auto end = std::back_inserter(*out);
  fmt::format_to(end, "{:08x}", offset);
  for (size_t i = 0; i < kHexdumpLine; ++i) {
    if (i % 8 == 0) out->push_back(' ');
    if (i < line.size()) {
      fmt::format_to(end, " {:02x}", static_cast<uint8_t>(line[i]));
    } else {
      out->append("   ");
    }
  }
  out->append("  |");
  for (const char c : line) out->push_back(IsPrintable(c) ? c : '.');
  out->append("|\n");
}

}  // namespace

std::string CharIntTable(std::string_view bytes) {
  std::string out;
  if (bytes.empty()) return out;
  const size_t position_width = fmt::formatted_size("{}", bytes.size() - 1);
  const size_t cell = std::max(kCellWidthMin, position_width + 1);
  const size_t columns = std::min(kTableColumnsMax, (kTableWidthMax - kLabelWidth) / cell);
  auto end = std::back_inserter(out);
  for (size_t start = 0; start < bytes.size(); start += columns) {
    const std::string_view row = bytes.substr(start, columns);
    if (start > 0) out.push_back('\n');
    out.append("  AT");
    for (size_t i = 0; i < row.size(); ++i) fmt::format_to(end, "{:>{}}", start + i, cell);
    out.append("\nCHAR");
    for (const char c : row) fmt::format_to(end, "{:>{}}", CellOf(c), cell);
    out.append("\n INT");
    for (const char c : row) fmt::format_to(end, "{:>{}}", static_cast<uint8_t>(c), cell);
    out.push_back('\n');
  }
  return out;
}

std::string HexDump(std::string_view bytes) {
  std::string out;
  if (bytes.empty()) return out;
  std::string_view before;
  bool squeezed = false;
  for (size_t offset = 0; offset < bytes.size(); offset += kHexdumpLine) {
    const std::string_view line = bytes.substr(offset, kHexdumpLine);
    if (line == before) {
      if (!squeezed) out.append("*\n");
      squeezed = true;
      continue;
    }
    AppendHexdumpLine(offset, line, &out);
    before = line;
    squeezed = false;
  }
  fmt::format_to(std::back_inserter(out), "{:08x}\n", bytes.size());
  return out;
}

}  // namespace bsockd
