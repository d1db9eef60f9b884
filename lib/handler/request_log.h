// RequestLog: prints requests, one a line, as the lecture's server does:
//
//   SERVER: I received this from the client: "AWESOMESAUCE"
//
// Requests are untrusted bytes: what could not stand in one line of a terminal is escaped, and what
// is long is cut. Thread: any; lines are written whole.
#pragma once

#include <memory>

#include "lib/handler/handler.h"

namespace bsockd {

class RequestLog {
 public:
  // `fd` is borrowed and stays open. Lines that cannot be written are dropped: a request log must
  // not stop the service. `json` prints {"listener":…,"request":…} with the time instead.
  RequestLog(int fd, bool json) : fd_(fd), json_(json) {}

  void Write(const Request& request);

 private:
  const int fd_;
  const bool json_;
};

// A handler that logs each request and then lets `handler` answer.
std::unique_ptr<const Handler> LogRequests(std::unique_ptr<const Handler> handler, RequestLog* log);

}  // namespace bsockd
