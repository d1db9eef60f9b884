#include "tests/integration/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/integration/child_setup.h"

namespace bsockd::integration {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// A terminal that hands lines over as they are: no echo, no newline turned into CR LF.
Pipe MakeTerminal() {
  int controller;
  int terminal;
  if (openpty(&controller, &terminal, nullptr, nullptr, nullptr) != 0) return {};
  fcntl(controller, F_SETFD, FD_CLOEXEC);
  fcntl(terminal, F_SETFD, FD_CLOEXEC);
  termios settings;
  tcgetattr(terminal, &settings);
  settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  settings.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  tcsetattr(terminal, TCSANOW, &settings);
  return {UniqueFd(controller), UniqueFd(terminal)};
}

// Reads what there is; false at the end.
bool ReadInto(int fd, std::string* text, std::mutex& mutex) {
  std::array<char, 16384> buffer;
  const ssize_t count = read(fd, buffer.data(), buffer.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (count <= 0) return false;  // EIO: the other side of a terminal is gone.
  const std::lock_guard lock(mutex);
  text->append(buffer.data(), static_cast<size_t>(count));
  return true;
}

}  // namespace

void PrintTo(const ProcessEnd& end, std::ostream* out) {
  if (end.exit_code) *out << "exit " << *end.exit_code;
  if (end.signal) *out << "killed by " << strsignal(*end.signal);
}

std::unique_ptr<Process> Process::Start(const ProcessOptions& options) {
  signal(SIGPIPE, SIG_IGN);  // WriteInput() reports it; the child gets the default back.
  Pipe input = options.terminal ? MakeTerminal() : MakePipe();
  Pipe output = options.terminal ? Pipe() : MakePipe();
  Pipe errors = MakePipe();
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!input.read || !errors.read || !wake) {
    ADD_FAILURE() << "no pipes for " << options.command[0] << ": " << strerror(errno);
    return nullptr;
  }
  std::unique_ptr<Process> process(new Process());
  ChildDescriptors child;
  child.errors = errors.write.get();
  if (options.terminal) {
    child.input = child.output = input.write.get();
    process->input_ = UniqueFd(fcntl(input.read.get(), F_DUPFD_CLOEXEC, 0));
    process->output_ = std::move(input.read);
  } else {
    child.input = input.read.get();
    child.output = output.write.get();
    process->input_ = std::move(input.write);
    process->output_ = std::move(output.read);
  }
  process->errors_ = std::move(errors.read);
  process->wake_ = std::move(wake);
  const SpawnResult spawned = Spawn(options, child);
  if (spawned.error != 0) {
    ADD_FAILURE() << "cannot start " << options.command[0] << ": " << spawned.failed_call << ": "
                  << strerror(spawned.error);
    return nullptr;
  }
  process->pid_ = spawned.pid;
  process->collector_ = std::thread([raw = process.get()] { raw->Collect(); });
  return process;
}

Process::~Process() {
  if (pid_ < 0) return;
  if (!end_) {
    kill(pid_, SIGKILL);
    int status;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  eventfd_write(wake_.get(), 1);
  collector_.join();
}

bool Process::WriteInput(std::string_view bytes) {
  const auto deadline = Clock::now() + kPatience;
  while (!bytes.empty()) {
    pollfd writable = {input_.get(), POLLOUT, 0};
    if (poll(&writable, 1, 100) <= 0) {
      if (Clock::now() > deadline) return false;
      continue;
    }
    // Not more than a pipe takes whole once it is writable (pipe(7), "PIPE_BUF").
    const ssize_t count = write(input_.get(), bytes.data(), std::min<size_t>(bytes.size(), 4096));
    if (count < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

void Process::CloseInput() { input_.Reset(); }

void Process::Collect() {
  for (;;) {
    std::array<pollfd, 3> polled = {
        {{wake_.get(), POLLIN, 0}, {output_.get(), POLLIN, 0}, {errors_.get(), POLLIN, 0}}};
    poll(polled.data(), polled.size(), -1);  // Closed descriptors are -1, which poll passes over.
    if (polled[1].revents != 0 && !ReadInto(output_.get(), &output_text_, mutex_)) output_.Reset();
    if (polled[2].revents != 0 && !ReadInto(errors_.get(), &errors_text_, mutex_)) errors_.Reset();
    eventfd_t ignored;
    if (polled[0].revents != 0) eventfd_read(wake_.get(), &ignored);
    const std::lock_guard lock(mutex_);
    if (close_output_) output_.Reset();
    output_ended_ = !output_;
    errors_ended_ = !errors_;
    changed_.notify_all();
    if (stop_) return;
  }
}

std::optional<std::string> Process::ReadLine() {
  std::unique_lock lock(mutex_);
  size_t newline = std::string::npos;
  changed_.wait_until(lock, Clock::now() + kPatience, [&] {
    newline = output_text_.find('\n', lines_read_bytes_);
    return newline != std::string::npos || output_ended_;
  });
  if (newline == std::string::npos) return std::nullopt;
  std::string line = output_text_.substr(lines_read_bytes_, newline - lines_read_bytes_);
  lines_read_bytes_ = newline + 1;
  return line;
}

bool Process::WaitForText(const std::string& where, std::string_view text) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, Clock::now() + kPatience, [&] {
    return where.find(text) != std::string::npos ||
           (&where == &output_text_ ? output_ended_ : errors_ended_);
  });
  return where.find(text) != std::string::npos;
}

bool Process::WaitForOutput(std::string_view text) { return WaitForText(output_text_, text); }
bool Process::WaitForErrors(std::string_view text) { return WaitForText(errors_text_, text); }

std::string Process::output() const {
  const std::lock_guard lock(mutex_);
  return output_text_;
}

std::string Process::errors() const {
  const std::lock_guard lock(mutex_);
  return errors_text_;
}

void Process::CloseOutput() {
  std::unique_lock lock(mutex_);
  close_output_ = true;
  eventfd_write(wake_.get(), 1);
  changed_.wait(lock, [&] { return output_ended_; });
}

void Process::Signal(int signal) const {
  if (!end_) kill(pid_, signal);
}

std::optional<ProcessEnd> Process::Wait(std::chrono::milliseconds patience) {
  if (end_) return end_;
  const UniqueFd ended(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  pollfd polled = {ended.get(), POLLIN, 0};
  const auto deadline = Clock::now() + patience;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    const int count = poll(&polled, 1, static_cast<int>(std::max<long>(left.count(), 0)));
    if (count == 0) return std::nullopt;
    if (count > 0) break;
  }
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return std::nullopt;
  end_ = WIFSIGNALED(status) ? KilledBy(WTERMSIG(status)) : Exited(WEXITSTATUS(status));
  // What it wrote last may still be on its way; a grandchild may hold the pipes longer.
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::seconds(1), [&] { return output_ended_ && errors_ended_; });
  return end_;
}

Outcome RunToEnd(const ProcessOptions& options, std::string_view input) {
  Outcome outcome;
  const std::unique_ptr<Process> process = Process::Start(options);
  if (!process) return outcome;
  process->WriteInput(input);
  process->CloseInput();
  outcome.end = process->Wait();
  outcome.output = process->output();
  outcome.errors = process->errors();
  return outcome;
}

}  // namespace bsockd::integration
