// The systemd units, looked at by systemd-analyze; nothing is started. (tests/systemd/run boots.)
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/process.h"

namespace bsockd::integration {
namespace {

namespace fs = std::filesystem;

// A root folder with systemd's own units, ours, and stand-ins for the programs that ours start.
class UnitsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (Run({"sh", "-c", "command -v systemd-analyze"}).end != Exited(0)) {
      GTEST_SKIP() << "systemd-analyze is not installed (Debian's package: systemd)";
    }
    const fs::path units = ProgramFromEnvironment("UNITS");
    fs::create_directories(root_ / "usr/lib/systemd");
    fs::copy("/usr/lib/systemd/system", root_ / "usr/lib/systemd/system",
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (const char* unit : {"bsockd.service", "bsockd.socket"})
      fs::copy(units / unit, root_ / "usr/lib/systemd/system");
    drop_in_ = units / "no-network.conf";
    for (const char* program : {"usr/sbin/bsockd", "bin/sh"}) {
      fs::create_directories((root_ / program).parent_path());
      fs::copy("/bin/true", root_ / program);
    }
  }

  static Outcome Run(std::vector<std::string> command) {
    ProcessOptions options;
    options.command = std::move(command);
    options.environment = {"SYSTEMD_COLORS=0"};
    return RunToEnd(options);
  }

  void AddDropIn() {
    const fs::path folder = root_ / "etc/systemd/system/bsockd.service.d";
    fs::create_directories(folder);
    fs::copy(drop_in_, folder);
  }

  Outcome Analyze(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"systemd-analyze", "--root=" + root_.string()});
    return Run(std::move(arguments));
  }

  // The overall exposure of bsockd.service, and in `report` what it is made of.
  double Exposure(std::string* report) {
    const Outcome outcome = Analyze({"security", "--offline=true", "--no-pager", "bsockd.service"});
    *report = outcome.output + outcome.errors;
    const std::string before = "Overall exposure level for bsockd.service: ";
    const size_t at = outcome.output.find(before);
    if (at == std::string::npos) return 10;  // The worst there is.
    return std::atof(outcome.output.c_str() + at + before.size());
  }

  TemporaryFolder folder_;
  fs::path root_ = folder_.File("root");
  fs::path drop_in_;
};

TEST_F(UnitsTest, SystemdFindsNothingWrong) {
  for (const bool drop_in : {false, true}) {
    if (drop_in) AddDropIn();
    // The manual pages of the units' Documentation= are not installed here.
    const Outcome outcome = Analyze({"verify", "--man=no", "bsockd.service", "bsockd.socket"});
    EXPECT_EQ(outcome.end, Exited(0));
    EXPECT_EQ(outcome.output + outcome.errors, "") << "with the drop-in: " << drop_in;
  }
}

TEST_F(UnitsTest, ExposureOfTheService) {
  std::string report;
  const double exposure = Exposure(&report);
  fmt::print("exposure of bsockd.service: {}\n", exposure);
  EXPECT_LE(exposure, 1.4) << report;
}

TEST_F(UnitsTest, ExposureWithoutNetwork) {
  AddDropIn();
  std::string report;
  const double exposure = Exposure(&report);
  fmt::print("exposure of bsockd.service with no-network.conf: {}\n", exposure);
  EXPECT_LE(exposure, 0.5) << report;
}

}  // namespace
}  // namespace bsockd::integration
