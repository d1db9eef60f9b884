// Streams, and what each framing makes of them: the public suites of Netty, Tokio, Erlang/OTP,
// Pekko and Twisted re-expressed, and the project's own. Plain data, for the test of the framers
// and for the one with real sockets.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bsockd::testing {

// What a server that echoes says to one request: `reply`, byte by byte. Or, where `error` is not
// empty, what was wrong: "overlong", "malformed" or "truncated".
struct CorpusAnswer {
  std::string payload;
  std::string reply;
  std::string error;
};

struct CorpusCase {
  std::string name;     // Letters and digits; unique within the corpus.
  std::string framing;  // As it stands after `framing:`.
  size_t max_frame = 0;
  std::string input;  // Ended by the end of input.
  // In the order of the input. The connection goes on after an "overlong" with `overlong: skip`
  // (unless it is the last answer), and after no other error.
  std::vector<CorpusAnswer> answers;
};

std::vector<CorpusCase> FramingCorpus();

}  // namespace bsockd::testing
