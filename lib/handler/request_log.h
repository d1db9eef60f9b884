// RequestLog: prints requests, one a line, as the lecture's server does:
//
//   SERVER: I received this from the client: "AWESOMESAUCE"
//
// Requests are untrusted bytes: what could not stand in one line of a terminal is escaped, and what
// is long is cut. A line is written when its request is handled, before the reply leaves. Where
// nobody reads standard output it is dropped after a moment (lib/base/line_writer.h): a request log
// must not stop the service.
//
// Thread: any; lines are whole.
#pragma once

#include <cstdint>
#include <memory>

#include "lib/base/line_writer.h"
#include "lib/handler/handler.h"

namespace bsockd {

class RequestLog {
 public:
  // `fd` is borrowed and stays open. `json` prints objects with time, listener and request instead.
  RequestLog(int fd, bool json) : writer_(fd), json_(json) {}

  void Write(const Request& request);

  // Requests that were not printed, so far.
  uint64_t dropped() const { return writer_.dropped(); }

 private:
  LineWriter writer_;
  const bool json_;
};

// A handler that logs each request and then lets `handler` answer.
std::unique_ptr<const Handler> LogRequests(std::unique_ptr<const Handler> handler, RequestLog* log);

}  // namespace bsockd
