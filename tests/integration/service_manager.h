// ServiceManager: what systemd is to a service, played by the test: it hears what the service says
// of itself, sd_notify(3), and keeps the descriptors that the service leaves with it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "lib/base/unique_fd.h"
#include "tests/integration/process.h"

namespace bsockd::integration {

// Thread: the test's; a thread of its own collects the messages.
class ServiceManager {
 public:
  ServiceManager();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // From now on it comes to each message so late, as one that has other services does.
  void TakeItsTime(std::chrono::milliseconds per_message);

  // For ProcessOptions::environment of the service.
  std::vector<std::string> Environment() const;

  // How often the service has said this: `READY=1`.
  size_t Count(std::string_view assignment) const;
  // When it did.
  std::vector<Clock::time_point> Times(std::string_view assignment) const;
  // Waits until it has said it so often. False after kPatience.
  bool WaitFor(std::string_view assignment, size_t count = 1);
  // The value that it gave last: ValueOf("STATUS").
  std::string ValueOf(std::string_view name) const;
  // All of it, a line each.
  std::string Log() const;

  // The descriptors that it keeps, for ProcessOptions::inherited of the next start. Borrowed.
  std::vector<InheritedDescriptor> stored() const;

 private:
  struct Said {
    std::string line;
    Clock::time_point when;
  };
  struct Kept {
    std::string name;
    UniqueFd fd;
  };

  void Collect();
  void Hear(std::string_view message, std::vector<UniqueFd> fds);
  size_t CountLocked(std::string_view assignment) const;

  TemporaryFolder folder_;
  UniqueFd socket_;
  std::thread collector_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Said> said_;  // From here on guarded by mutex_.
  std::vector<Kept> kept_;
  std::chrono::milliseconds per_message_{0};
  bool stop_ = false;
};

}  // namespace bsockd::integration
