#include "tests/integration/daemon.h"

#include <fmt/format.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/integration/stream.h"

namespace bsockd::integration {

std::string OneListener(std::string_view handler, std::string_view framing, std::string_view more,
                        std::string_view listen) {
  return fmt::format(
      "handlers:\n"
      "  only: {}\n"
      "listeners:\n"
      "  main:\n"
      "    listen: [\"{}\"]\n"
      "    handler: only\n"
      "    framing: {}\n"
      "{}\n",
      handler, listen, framing, more);
}

std::unique_ptr<Daemon> Daemon::Start(std::string_view io, DaemonOptions options) {
  std::unique_ptr<Daemon> daemon(new Daemon());
  std::string program = ProgramFromEnvironment("BSOCKD");
  if (options.process.uid) program = CopyForEveryone(program, daemon->folder_);
  std::vector<std::string>& command = options.process.command;
  command = {program};
  if (options.config.empty()) {
    command.emplace_back("0");
  } else {
    command.emplace_back("--config");
    command.push_back(daemon->folder_.Write("bsockd.yaml", options.config));
  }
  if (io == "io_uring" && DeniedIoUring() != 0) {
    options.process.io_uring_error = DeniedIoUring();
    io = "auto";
  }
  if (!io.empty()) command.insert(command.end(), {"--io", std::string(io)});
  command.emplace_back("--print-addresses");
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());

  daemon->process_ = Process::Start(options.process);
  if (!daemon->process_) return nullptr;
  while (daemon->addresses_.size() < options.address_count) {
    const std::optional<std::string> line = daemon->process_->ReadLine();
    if (!line) {
      const auto end = daemon->process_->Wait(std::chrono::milliseconds(100));
      ADD_FAILURE() << "bsockd printed " << daemon->addresses_.size() << " of "
                    << options.address_count << " addresses; "
                    << (end ? testing::PrintToString(*end) : "still running") << "\n"
                    << daemon->process_->errors();
      daemon->ended_ = true;
      return nullptr;
    }
    // With listen sockets that others had before, it may be asked before it has said so.
    if (line->starts_with("SERVER: ")) continue;
    daemon->addresses_.push_back(line->substr(line->find(' ') + 1));
  }
  return daemon;
}

Daemon::~Daemon() {
  if (process_ && !ended_) Stop();
}

std::string Daemon::port(size_t index) const {
  return addresses_[index].substr(addresses_[index].rfind(':') + 1);
}

void Daemon::Stop() {
  process_->Signal(SIGTERM);
  ExpectEnd(Exited(0));
}

void Daemon::ExpectEnd(const ProcessEnd& expected) {
  ended_ = true;
  const std::optional<ProcessEnd> end = process_->Wait();
  if (end == expected) return;
  ADD_FAILURE() << "bsockd: expected " << testing::PrintToString(expected) << ", but "
                << (end ? testing::PrintToString(*end) : "it still runs") << "; it said:\n"
                << process_->errors();
}

bool Daemon::WaitUntilDraining() const {
  return Eventually([&] {
    std::unique_ptr<Stream> probe;
    return Stream::TryConnect(address(), &probe) != 0;
  });
}

Outcome RunBsockd(std::vector<std::string> arguments) {
  ProcessOptions options;
  options.command = {ProgramFromEnvironment("BSOCKD")};
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  return RunToEnd(options);
}

int DeniedIoUring() {
  const char* name = getenv("BSOCKD_DENY_IO_URING");
  if (name == nullptr) return 0;
  for (const int error : {EPERM, ENOSYS, ENOMEM}) {
    if (strerrorname_np(error) == std::string_view(name)) return error;
  }
  ADD_FAILURE() << "BSOCKD_DENY_IO_URING=" << name << " is none of EPERM, ENOSYS, ENOMEM";
  return 0;
}

std::string WhyNoIoUring() {
  if (DeniedIoUring() != 0) return "";
  io_uring_params params = {};
  params.flags = IORING_SETUP_COOP_TASKRUN;  // Linux 5.19, the oldest that will do.
  const UniqueFd ring(static_cast<int>(syscall(SYS_io_uring_setup, 4, &params)));
  if (ring) return "";
  return fmt::format("this machine has no io_uring: {}", strerror(errno));
}

void BackendTest::SetUp() {
  if (GetParam() != "io_uring") return;
  if (const std::string why = WhyNoIoUring(); !why.empty()) GTEST_SKIP() << why;
}

}  // namespace bsockd::integration
