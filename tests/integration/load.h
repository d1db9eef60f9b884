// Load: many clients at once that account for every request they send.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/integration/measure.h"
#include "tests/integration/process.h"

namespace bsockd::integration {

// What became of what the clients did. The last seven are what a server that loses nothing has
// none of.
struct LoadCounts {
  uint64_t connections = 0;
  uint64_t sent = 0;        // Requests.
  uint64_t answered = 0;    // Rightly.
  uint64_t unanswered = 0;  // On connections that the server closed between two replies.
  uint64_t closed = 0;      // Connections that the server closed so.

  uint64_t refused = 0;  // Connects.
  uint64_t reset = 0;    // Connections.
  uint64_t cut = 0;      // Connections that ended inside a reply.
  uint64_t wrong = 0;    // Replies.
  uint64_t unasked = 0;  // Replies to nothing.
  uint64_t silent = 0;   // Waits of kPatience for a reply.
  uint64_t failed = 0;   // Connects that failed in another way, sends that took too long.

  uint64_t lost() const { return refused + reset + cut + wrong + unasked + silent + failed; }
  LoadCounts& operator+=(const LoadCounts& more);
  std::string ToString() const;
};

struct LoadOptions {
  std::string address;          // Of a listener with `framing: line`.
  std::string name = "client";  // Requests begin with it.
  size_t clients = 4;
  size_t requests_per_connection = 40;  // Then the client closes it and connects anew.
  size_t depth = 4;                     // Requests that are sent at once.
  Microseconds pause{500};              // After each such batch. None: all that the machine can.
  // Whether the reply is one to this request. By default: the request itself.
  std::function<bool(std::string_view request, std::string_view reply)> is_right = nullptr;
  // Whether answered() is wanted.
  bool remember = false;
  // Nobody may be there, for a while: that is no refusal.
  bool may_be_absent = false;
};

// Thread: the test's. Every client has a thread of its own, from the constructor to Stop().
class Load {
 public:
  explicit Load(LoadOptions options);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Waits until so many more requests have been answered. False after kPatience.
  bool WaitForAnswers(uint64_t count);

  // Waits until every client has asked for something that it waits for. False after kPatience. For
  // when the server stands still.
  bool WaitUntilAllWait();

  // The clients finish what they have begun. All of their requests are in the counts then.
  LoadCounts Stop();

  // After Stop(): every request that was answered, with LoadOptions::remember. No two requests of
  // one name are the same.
  const std::set<std::string>& answered() const { return answered_texts_; }
  // After Stop(): the longest wait for a reply, that for a connection included.
  Microseconds longest_wait() const { return longest_wait_; }

 private:
  class Client;

  const LoadOptions options_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> answers_{0};
  std::atomic<size_t> waiting_{0};  // Clients that wait for an answer.
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  LoadCounts counts_;  // From here on guarded by mutex_, and by nothing after Stop().
  std::set<std::string> answered_texts_;
  Microseconds longest_wait_{0};
};

}  // namespace bsockd::integration
