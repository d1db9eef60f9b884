// Handler: what the server is for, a function from a request's bytes to a reply's.
#pragma once

#include <absl/status/status.h>

#include <string>
#include <string_view>

namespace bsockd {

// Valid for the duration of Handle() only.
struct Request {
  std::string_view payload;   // The frame without its framing. Any bytes; may be empty.
  std::string_view listener;  // The name of the listener that it came in by.
};

// Where the reply is written: straight into the connection's output. An empty reply is a reply.
class Reply {
 public:
  explicit Reply(std::string* out) : out_(out) {}
  void Append(std::string_view bytes) { out_->append(bytes); }
  // Lengthens the reply by `size` bytes and returns the first of them, for handlers that compute
  // in place. Valid until the next call.
  char* Extend(size_t size) {
    out_->resize(out_->size() + size);
    return out_->data() + out_->size() - size;
  }

 private:
  std::string* out_;
};

class Handler {
 public:
  virtual ~Handler() = default;

  // Called on worker threads, by several at once: hence const. Must not block; it holds up every
  // connection of its worker. An error becomes the reply `ERR failed <message>`, and what was
  // appended is dropped. The framing is added around the reply; bytes of the reply that look like
  // framing are not escaped.
  virtual absl::Status Handle(const Request& request, Reply& reply) const = 0;
};

}  // namespace bsockd
