#include "tests/integration/service_manager.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace bsockd::integration {
namespace {

constexpr size_t kMessageBytesMax = 4096;

// systemd keeps one descriptor of each open file.
bool SameFile(int a, int b) {
  struct stat of_a {};
  struct stat of_b {};
  return fstat(a, &of_a) == 0 && fstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
         of_a.st_ino == of_b.st_ino;
}

}  // namespace

ServiceManager::ServiceManager() {
  socket_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  folder_.File("notify").copy(address.sun_path, sizeof(address.sun_path) - 1);
  EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  collector_ = std::thread([this] { Collect(); });
}

ServiceManager::~ServiceManager() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  shutdown(socket_.get(), SHUT_RD);
  collector_.join();
}

void ServiceManager::TakeItsTime(std::chrono::milliseconds per_message) {
  const std::lock_guard lock(mutex_);
  per_message_ = per_message;
}

std::vector<std::string> ServiceManager::Environment() const {
  return {"NOTIFY_SOCKET=" + folder_.File("notify")};
}

size_t ServiceManager::CountLocked(std::string_view assignment) const {
  return static_cast<size_t>(std::count_if(
      said_.begin(), said_.end(), [&](const Said& said) { return said.line == assignment; }));
}

size_t ServiceManager::Count(std::string_view assignment) const {
  const std::lock_guard lock(mutex_);
  return CountLocked(assignment);
}

std::vector<Clock::time_point> ServiceManager::Times(std::string_view assignment) const {
  const std::lock_guard lock(mutex_);
  std::vector<Clock::time_point> times;
  for (const Said& said : said_) {
    if (said.line == assignment) times.push_back(said.when);
  }
  return times;
}

bool ServiceManager::WaitFor(std::string_view assignment, size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, Clock::now() + kPatience,
                             [&] { return CountLocked(assignment) >= count; });
}

std::string ServiceManager::ValueOf(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const std::string prefix = std::string(name) + "=";
  const auto found = std::find_if(said_.rbegin(), said_.rend(),
                                  [&](const Said& said) { return said.line.starts_with(prefix); });
  return found == said_.rend() ? "" : found->line.substr(prefix.size());
}

std::string ServiceManager::Log() const {
  const std::lock_guard lock(mutex_);
  std::string log;
  for (const Said& said : said_) log += said.line + "\n";
  return log;
}

std::vector<InheritedDescriptor> ServiceManager::stored() const {
  const std::lock_guard lock(mutex_);
  std::vector<InheritedDescriptor> stored;
  for (const Kept& kept : kept_) stored.push_back({kept.name, kept.fd.get()});
  return stored;
}

void ServiceManager::Collect() {
  while (true) {
    pollfd polled = {socket_.get(), POLLIN, 0};
    poll(&polled, 1, -1);
    std::chrono::milliseconds pause;
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
      pause = per_message_;
    }
    std::this_thread::sleep_for(pause);
    char text[kMessageBytesMax];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)];
    iovec data{text, sizeof(text)};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t size = recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (size <= 0) continue;
    std::vector<UniqueFd> fds;
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
         part = CMSG_NXTHDR(&header, part)) {
      if (part->cmsg_type != SCM_RIGHTS) continue;
      for (size_t i = 0; i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
        fds.emplace_back(fd);
      }
    }
    Hear({text, static_cast<size_t>(size)}, std::move(fds));
  }
}

void ServiceManager::Hear(std::string_view message, std::vector<UniqueFd> fds) {
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  std::string name = "stored";
  bool store = false;
  bool remove = false;
  while (!message.empty()) {
    const std::string_view line = message.substr(0, message.find('\n'));
    message.remove_prefix(std::min(message.size(), line.size() + 1));
    said_.push_back({std::string(line), now});
    store = store || line == "FDSTORE=1";
    remove = remove || line == "FDSTOREREMOVE=1";
    if (line.starts_with("FDNAME=")) name = line.substr(line.find('=') + 1);
  }
  if (remove) std::erase_if(kept_, [&](const Kept& kept) { return kept.name == name; });
  for (UniqueFd& fd : fds) {
    const bool known = std::any_of(kept_.begin(), kept_.end(), [&](const Kept& kept) {
      return SameFile(kept.fd.get(), fd.get());
    });
    if (store && !known) kept_.push_back({name, std::move(fd)});
  }
  changed_.notify_all();
}

}  // namespace bsockd::integration
