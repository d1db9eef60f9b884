#include "tests/integration/child_setup.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

namespace bsockd::integration {
namespace {

constexpr int kFirstInherited = 3;
constexpr size_t kPidDigitsMax = 10;
constexpr std::string_view kListenPid = "LISTEN_PID=";

// What the child tells its parent when it cannot go on.
struct Failure {
  int error;
  const char* call;  // A literal: the same address before and after the fork.
};

// From here to Run() the code runs in the child of a process that may have threads: only
// async-signal-safe calls, no allocation.

bool LimitResource(int resource, const std::optional<rlim_t>& most) {
  if (!most) return true;
  const rlimit limit = {*most, *most};
  return setrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0;
}

// seccomp(2): the three calls of io_uring have the same numbers, in a row, on every architecture.
bool DenyIoUring(int error) {
  if (error == 0) return true;
  std::array<sock_filter, 5> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_io_uring_setup, 0, 2),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_io_uring_register, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<unsigned>(error) & 0xFFFF)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter = {program.size(), program.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

bool BecomeUser(const std::optional<uid_t>& uid) {
  if (!uid) return true;
  return setgroups(0, nullptr) == 0 && setgid(*uid) == 0 && setuid(*uid) == 0;
}

// Puts the decimal digits of this process's number, and a NUL, at `out`.
void WriteOwnPid(char* out) {
  char digits[kPidDigitsMax];
  size_t count = 0;
  for (pid_t rest = getpid(); rest != 0; rest /= 10) {
    digits[count++] = static_cast<char>('0' + rest % 10);
  }
  while (count > 0) *out++ = digits[--count];
  *out = '\0';
}

[[noreturn]] void Run(const ProcessOptions& options, const ChildDescriptors& descriptors,
                      const std::vector<UniqueFd>& inherited, char* own_pid, char* const* arguments,
                      char* const* environment, int report) {
  const auto fail = [report](const char* call) {
    const Failure failure = {errno, call};
    const ssize_t ignored = write(report, &failure, sizeof failure);
    static_cast<void>(ignored);
    _exit(127);
  };
  // A test that is killed takes its children along.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(descriptors.input, STDIN_FILENO) < 0 || dup2(descriptors.output, STDOUT_FILENO) < 0 ||
      dup2(descriptors.errors, STDERR_FILENO) < 0) {
    fail("dup2");
  }
  for (size_t i = 0; i < inherited.size(); ++i) {
    const int fd = kFirstInherited + static_cast<int>(i);
    if (dup2(inherited[i].get(), fd) < 0) fail("dup2");
  }
  if (own_pid != nullptr) WriteOwnPid(own_pid);
  if (!LimitResource(RLIMIT_NOFILE, options.descriptors_max)) fail("setrlimit RLIMIT_NOFILE");
  if (!LimitResource(RLIMIT_MEMLOCK, options.locked_bytes_max)) fail("setrlimit RLIMIT_MEMLOCK");
  if (!BecomeUser(options.uid)) fail("setuid");
  if (!DenyIoUring(options.io_uring_error)) fail("seccomp");
  execvpe(arguments[0], arguments, environment);
  fail("exec");
  _exit(127);
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The first of them is LISTEN_PID, with room for the number, which only the child knows.
void AddListenVariables(const std::vector<InheritedDescriptor>& inherited,
                        std::vector<std::string>* environment) {
  std::string names;
  for (const InheritedDescriptor& each : inherited) {
    names += (names.empty() ? "" : ":") + each.name;
  }
  environment->push_back(std::string(kListenPid) + std::string(kPidDigitsMax, ' '));
  environment->push_back("LISTEN_FDS=" + std::to_string(inherited.size()));
  environment->push_back("LISTEN_FDNAMES=" + names);
}

}  // namespace

SpawnResult Spawn(const ProcessOptions& options, const ChildDescriptors& descriptors) {
  // Of two values of one name getenv(3) finds the first.
  std::vector<std::string> environment = options.environment;
  const bool inherits = !options.inherited.empty();
  if (inherits) AddListenVariables(options.inherited, &environment);
  for (char** each = environ; *each != nullptr; ++each) environment.emplace_back(*each);
  const std::vector<char*> arguments = Pointers(options.command);
  const std::vector<char*> variables = Pointers(environment);
  char* own_pid = nullptr;
  if (inherits) own_pid = variables[options.environment.size()] + kListenPid.size();

  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return {-1, errno, "pipe"};
  const UniqueFd report_read(report[0]);
  UniqueFd report_write(report[1]);
  // Out of the way of the numbers that the child is to have.
  const int first_free = kFirstInherited + static_cast<int>(options.inherited.size());
  const auto move = [first_free](int fd) {
    return UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, first_free));
  };
  report_write = move(report_write.get());
  std::vector<UniqueFd> inherited;
  for (const InheritedDescriptor& each : options.inherited) inherited.push_back(move(each.fd));

  const pid_t pid = fork();
  if (pid < 0) return {-1, errno, "fork"};
  if (pid == 0) {
    Run(options, descriptors, inherited, own_pid, arguments.data(), variables.data(),
        report_write.get());
  }
  report_write.Reset();
  Failure failure;
  // exec closes the pipe: then there is nothing to read, and all is well.
  if (read(report_read.get(), &failure, sizeof failure) != sizeof failure) return {pid, 0, ""};
  waitpid(pid, nullptr, 0);
  return {-1, failure.error, failure.call};
}

}  // namespace bsockd::integration
