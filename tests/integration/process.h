// Process: a child process of a test, with its pipes, deadlines and whatever it is to be denied.
//
// Everything that waits gives up after kPatience, so that a hanging program is a failed test and
// not a hanging one.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "lib/base/unique_fd.h"

namespace bsockd::integration {

using Clock = std::chrono::steady_clock;

// Long, because sanitizers on a busy machine are slow; what works never waits so long.
inline constexpr std::chrono::seconds kPatience{20};

// True in builds with AddressSanitizer or ThreadSanitizer: slower, and memory is not measurable.
bool Sanitized();

// Asks again and again, a few milliseconds apart, until `condition` holds. False after kPatience.
bool Eventually(const std::function<bool()>& condition);

// The absolute path of the program that the environment variable `variable` names; the BUILD file
// sets it. Ends the test program where it is not set.
std::string ProgramFromEnvironment(const char* variable);

// A descriptor for a child, as systemd gives them, sd_listen_fds(3).
struct InheritedDescriptor {
  std::string name;
  int fd = -1;  // Borrowed.
};

struct ProcessOptions {
  std::vector<std::string> command;      // The first is searched in PATH if it has no slash.
  std::vector<std::string> environment;  // NAME=VALUE, in addition to the test's own.

  std::vector<InheritedDescriptor> inherited;  // From descriptor 3 on, with LISTEN_PID and so on.

  int io_uring_error = 0;  // An errno: the io_uring system calls fail with it (seccomp).
  std::optional<rlim_t> descriptors_max;   // RLIMIT_NOFILE
  std::optional<rlim_t> locked_bytes_max;  // RLIMIT_MEMLOCK
  std::optional<uid_t> uid;                // Needs root. No supplementary groups, gid the same.
  bool terminal = false;  // Standard input and output are a terminal (without echo), not pipes.
};

// How a process ended.
struct ProcessEnd {
  std::optional<int> exit_code;
  std::optional<int> signal;

  bool operator==(const ProcessEnd&) const = default;
};
inline ProcessEnd Exited(int code) { return {code, std::nullopt}; }
inline ProcessEnd KilledBy(int signal) { return {std::nullopt, signal}; }
void PrintTo(const ProcessEnd& end, std::ostream* out);

// Thread: the test's. A thread of its own collects standard output and standard error, so the child
// never blocks on a full pipe.
class Process {
 public:
  // Null, with a test failure that says why, where the program cannot be started.
  static std::unique_ptr<Process> Start(const ProcessOptions& options);

  // Kills the child if it still runs, and waits for it.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }

  // Standard input. False if the child does not read any more.
  bool WriteInput(std::string_view bytes);
  void CloseInput();

  // The next line of standard output, without its newline; nothing at its end or after kPatience.
  std::optional<std::string> ReadLine();
  // Waits until all of standard output, or standard error, so far contains `text`.
  bool WaitForOutput(std::string_view text);
  bool WaitForErrors(std::string_view text);
  // All that has come so far; after Wait(), all there is.
  std::string output() const;
  std::string errors() const;
  // From now on the child writes its standard output to a pipe that no one reads (EPIPE).
  void CloseOutput();

  void Signal(int signal) const;
  // Nothing if it still runs after `patience`.
  std::optional<ProcessEnd> Wait(std::chrono::milliseconds patience = kPatience);

 private:
  Process() = default;
  void Collect();
  bool WaitForText(const std::string& where, std::string_view text);

  pid_t pid_ = -1;
  std::optional<ProcessEnd> end_;
  UniqueFd input_;
  UniqueFd output_;
  UniqueFd errors_;
  UniqueFd wake_;  // An eventfd: the collector has something to look at.
  std::thread collector_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string output_text_;  // From here on guarded by mutex_.
  std::string errors_text_;
  size_t lines_read_bytes_ = 0;
  bool output_ended_ = false;
  bool errors_ended_ = false;
  bool close_output_ = false;
  bool stop_ = false;
};

// Runs a program to its end with `input` on its standard input.
struct Outcome {
  std::optional<ProcessEnd> end;  // Nothing: it was killed after kPatience.
  std::string output;
  std::string errors;
};
Outcome RunToEnd(const ProcessOptions& options, std::string_view input = "");

// The lines of `text` that contain `part`; all lines where it is empty.
std::vector<std::string> LinesWith(std::string_view part, const std::string& text);

// Whether all of `text` matches an extended regular expression, regex(7). (Not std::regex: with
// sanitizers g++ 12 warns of its insides.)
bool Matches(const std::string& text, const std::string& pattern);

// Whether this process may start others as `uid`: it is root, and not in a user namespace of its
// own that has no such user.
bool CanBecome(uid_t uid);
inline constexpr uid_t kNobody = 65534;

// What /proc says of a process.
size_t ResidentBytes(pid_t pid);
size_t PeakResidentBytes(pid_t pid);  // Since its start, or since ForgetPeak().
void ForgetPeak(pid_t pid);
size_t OpenDescriptors(pid_t pid);
std::chrono::milliseconds CpuTime(pid_t pid);

// A folder in /tmp, short enough for the paths of Unix sockets, removed with all it holds.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string File(std::string_view name) const;
  // Writes the file and returns its path.
  std::string Write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
};

// A copy of `program` that every user can execute, in `folder`, which every user can then enter:
// the build's own folders may be closed to others.
std::string CopyForEveryone(const std::string& program, const TemporaryFolder& folder);

}  // namespace bsockd::integration
