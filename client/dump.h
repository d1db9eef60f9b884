// Bytes as tables, to see what cannot be seen. Pure.
#pragma once

#include <string>
#include <string_view>

namespace bsockd {

// Sixteen bytes a row, each with its position in `bytes`, its character or escape, and its value,
// in at most 100 columns:
//
//     AT    0    1    2    3    4    5
//   CHAR    H    i  ' '   \0   \n \xff
//    INT   72  105   32    0   10  255
//
// Escapes are those of C: \0 \a \b \t \n \v \f \r \\, and \xNN for every other byte that is not
// printable ASCII. Rows are separated by an empty line. Empty for no bytes.
std::string CharIntTable(std::string_view bytes);

// Exactly what `hexdump -C` prints for a file of these bytes, `*` for repeated lines included.
// Empty for no bytes.
std::string HexDump(std::string_view bytes);

}  // namespace bsockd
