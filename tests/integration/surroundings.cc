// The parts of process.h that are about the test's surroundings: /proc, folders, patience.
#include <fmt/format.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>

#include "tests/integration/process.h"

namespace bsockd::integration {
namespace {

// A value of /proc/PID/status that is given in kB.
size_t StatusBytes(pid_t pid, std::string_view name) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(name)) return std::stoul(line.substr(name.size())) * 1024;
  }
  ADD_FAILURE() << "process " << pid << " has no " << name;
  return 0;
}

}  // namespace

bool Sanitized() {
#if defined(BSOCKD_SANITIZED) || defined(__SANITIZE_THREAD__)
  return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return true;
#else
  return false;
#endif
#else
  return false;
#endif
}

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + kPatience;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::string ProgramFromEnvironment(const char* variable) {
  const char* path = getenv(variable);
  if (path == nullptr) {
    std::fprintf(stderr, "%s must name the program to test; `bazel test` sets it\n", variable);
    std::_Exit(1);
  }
  return std::filesystem::absolute(path).string();
}

std::vector<std::string> LinesWith(std::string_view part, const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.find(part) != std::string::npos) lines.push_back(line);
  }
  return lines;
}

bool Matches(const std::string& text, const std::string& pattern) {
  regex_t compiled;
  const std::string anchored = fmt::format("^({})$", pattern);
  if (regcomp(&compiled, anchored.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
    ADD_FAILURE() << "no regular expression: " << pattern;
    return false;
  }
  const bool matches = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
  regfree(&compiled);
  return matches;
}

bool CanBecome(uid_t uid) {
  if (geteuid() != 0) return false;
  const pid_t child = fork();
  if (child == 0) _exit(setgroups(0, nullptr) == 0 && setuid(uid) == 0 ? 0 : 1);
  int status = 1;
  return waitpid(child, &status, 0) == child && status == 0;
}

size_t ResidentBytes(pid_t pid) { return StatusBytes(pid, "VmRSS:"); }
size_t PeakResidentBytes(pid_t pid) { return StatusBytes(pid, "VmHWM:"); }

void ForgetPeak(pid_t pid) {
  // proc(5), clear_refs.
  std::ofstream file(fmt::format("/proc/{}/clear_refs", pid));
  if (!(file << 5 << std::flush)) ADD_FAILURE() << "the kernel keeps the peak of process " << pid;
}

size_t OpenDescriptors(pid_t pid) {
  std::error_code error;
  const std::filesystem::directory_iterator open(fmt::format("/proc/{}/fd", pid), error);
  return static_cast<size_t>(std::distance(begin(open), end(open)));
}

std::chrono::milliseconds CpuTime(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string stat((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // proc(5): the name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  long user = 0;
  long system = 0;
  fields >> user >> system;
  return std::chrono::milliseconds((user + system) * 1000 / sysconf(_SC_CLK_TCK));
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = "/tmp/bsockd.XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) {
    std::perror("mkdtemp /tmp/bsockd.XXXXXX");
    std::_Exit(1);
  }
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::File(std::string_view name) const {
  return fmt::format("{}/{}", path_, name);
}

std::string TemporaryFolder::Write(std::string_view name, std::string_view content) const {
  std::string path = File(name);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string CopyForEveryone(const std::string& program, const TemporaryFolder& folder) {
  std::string copy = folder.File("program");
  std::filesystem::copy_file(program, copy);
  chmod(copy.c_str(), 0755);
  chmod(folder.path().c_str(), 0755);
  return copy;
}

}  // namespace bsockd::integration
