#include "tests/integration/load.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <memory>
#include <utility>

#include "tests/integration/stream.h"

namespace bsockd::integration {

LoadCounts& LoadCounts::operator+=(const LoadCounts& more) {
  connections += more.connections;
  sent += more.sent;
  answered += more.answered;
  unanswered += more.unanswered;
  closed += more.closed;
  refused += more.refused;
  reset += more.reset;
  cut += more.cut;
  wrong += more.wrong;
  unasked += more.unasked;
  silent += more.silent;
  failed += more.failed;
  return *this;
}

std::string LoadCounts::ToString() const {
  return fmt::format(
      "{} connections, {} requests, {} answered, {} unanswered on {} closed connections; refused "
      "{}, reset {}, cut {}, wrong {}, unasked {}, silent {}, failed {}",
      connections, sent, answered, unanswered, closed, refused, reset, cut, wrong, unasked, silent,
      failed);
}

// One client, on its thread.
class Load::Client {
 public:
  Client(Load& load, size_t number) : load_(load), options_(load.options_), number_(number) {}

  void Run() {
    while (!load_.stop_) {
      const auto began = Clock::now();
      std::unique_ptr<Stream> stream;
      const int error = Stream::TryConnect(options_.address, &stream);
      if (error != 0) {
        CountFailedConnect(error);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      ++counts.connections;
      Converse(*stream, began);
    }
  }

  LoadCounts counts;
  std::vector<std::string> answered;
  Microseconds longest_wait{0};

 private:
  void CountFailedConnect(int error) {
    const bool nobody = error == ECONNREFUSED || error == ENOENT;
    if (nobody && options_.may_be_absent) return;
    ++(nobody ? counts.refused : counts.failed);
  }

  // Ends with the connection.
  void Converse(Stream& stream, Clock::time_point began) {
    received_.clear();
    for (size_t count = 0; count < options_.requests_per_connection && !load_.stop_;) {
      std::string bytes;
      std::deque<std::string> pending;
      for (size_t i = 0; i < options_.depth; ++i, ++count) {
        pending.push_back(fmt::format("{} {} request {}", options_.name, number_, next_++));
        bytes += pending.back() + "\n";
      }
      counts.sent += pending.size();
      // If the server has closed, what it had said before is still to be read.
      (void)stream.Send(bytes);
      if (!Receive(stream, &pending)) return;
      longest_wait = std::max(longest_wait, Since(began));
      if (options_.pause.count() > 0) std::this_thread::sleep_for(options_.pause);
      began = Clock::now();
    }
    // What comes now would be a reply to nothing.
    stream.HalfClose();
    std::deque<std::string> none;
    Receive(stream, &none);
  }

  // Until all are answered. False where the connection has ended; without anything to wait for, it
  // waits for the end.
  bool Receive(Stream& stream, std::deque<std::string>* pending) {
    const bool for_end = pending->empty();
    while (for_end || !pending->empty()) {
      if (!TakeReplies(pending)) return false;
      if (!for_end && pending->empty()) return true;
      ++load_.waiting_;
      const bool readable = stream.ReadableWithin(kPatience);
      --load_.waiting_;
      if (!readable) {
        ++counts.silent;
        return false;
      }
      char buffer[65536];
      const ssize_t size = recv(stream.fd(), buffer, sizeof(buffer), MSG_DONTWAIT);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (size <= 0) {
        CountEnd(size < 0, pending->size(), for_end);
        return false;
      }
      received_.append(buffer, static_cast<size_t>(size));
    }
    return true;
  }

  bool TakeReplies(std::deque<std::string>* pending) {
    size_t at = 0;
    for (size_t end; (end = received_.find('\n', at)) != received_.npos; at = end + 1) {
      const std::string_view reply(received_.data() + at, end - at);
      if (pending->empty()) {
        ++counts.unasked;
        return false;
      }
      std::string request = std::move(pending->front());
      pending->pop_front();
      if (options_.is_right ? options_.is_right(request, reply) : reply == request) {
        ++counts.answered;
        ++load_.answers_;
        if (options_.remember) answered.push_back(std::move(request));
      } else {
        ++counts.wrong;
      }
    }
    received_.erase(0, at);
    return true;
  }

  void CountEnd(bool reset, size_t pending, bool expected) {
    if (reset) {
      ++counts.reset;
    } else if (!received_.empty()) {
      ++counts.cut;
    } else if (!expected) {
      ++counts.closed;
    }
    counts.unanswered += pending;
  }

  Load& load_;
  const LoadOptions& options_;
  const size_t number_;
  uint64_t next_ = 0;
  std::string received_;  // Of a reply that has not come to its end.
};

Load::Load(LoadOptions options) : options_(std::move(options)) {
  for (size_t number = 0; number < options_.clients; ++number) {
    threads_.emplace_back([this, number] {
      Client client(*this, number);
      client.Run();
      const std::lock_guard lock(mutex_);
      counts_ += client.counts;
      longest_wait_ = std::max(longest_wait_, client.longest_wait);
      answered_texts_.insert(client.answered.begin(), client.answered.end());
    });
  }
}

Load::~Load() { Stop(); }

bool Load::WaitForAnswers(uint64_t count) {
  const uint64_t until = answers_ + count;
  return Eventually([&] { return answers_ >= until; });
}

bool Load::WaitUntilAllWait() {
  return Eventually([&] {
    const uint64_t before = answers_;
    return waiting_ == options_.clients && answers_ == before;
  });
}

LoadCounts Load::Stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  return counts_;
}

}  // namespace bsockd::integration
