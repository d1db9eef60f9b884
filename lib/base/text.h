// Text for people out of bytes from anywhere.
#pragma once

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bsockd {

// Debian's absl::string_view is a type of its own; this is the one place that converts.
inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
// Of what a Status says. Valid as long as the status.
inline std::string_view MessageOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

// Appends `bytes` to `*out` so that they are one line and harmless on a terminal: printable ASCII
// and well-formed UTF-8 stay, `"` and `\` get a backslash, newline, carriage return and tab become
// \n, \r, \t, everything else (control characters, ill-formed UTF-8, the C1 range) becomes \xNN.
// At most `bytes_max` bytes of the input are shown, with a note of how many there were.
void AppendEscaped(std::string_view bytes, size_t bytes_max, std::string* out);

// The lines of `text`, without their newlines; a newline at the end begins none. Valid as long as
// the text.
std::vector<std::string_view> Lines(std::string_view text);

// The candidate that `text` was probably meant to be, or empty when none is near: an edit distance
// of at most two and less than half its length.
std::string_view NearestWord(std::string_view text, const std::string_view* candidates,
                             size_t count);

}  // namespace bsockd
