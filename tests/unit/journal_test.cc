#include "lib/systemd/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "lib/base/unique_fd.h"
#include "tests/support/journal_socket.h"

namespace bsockd {
namespace {

using Clock = std::chrono::steady_clock;
using Fields = std::vector<JournalField>;

TEST(JournalTest, AnEntryIsItsFields) {
  JournalSocket journal;
  JournalWriter writer(journal.path());
  EXPECT_TRUE(writer.Write(Fields{{"MESSAGE", "hello"}, {"PRIORITY", "6"}, {"EMPTY", ""}}));
  EXPECT_EQ(journal.Next(), "MESSAGE=hello\nPRIORITY=6\nEMPTY=\n");
  EXPECT_EQ(journal.Next(), "");
}

TEST(JournalTest, NoValueCanForgeAField) {
  using namespace std::string_literals;
  JournalSocket journal;
  JournalWriter writer(journal.path());
  const std::string lines = "one\nPRIORITY=0\n";
  EXPECT_TRUE(writer.Write(Fields{{"MESSAGE", lines}, {"PEER", "a=b\0c"s}}));
  EXPECT_EQ(journal.Next(), "MESSAGE\n\x0F\0\0\0\0\0\0\0"s + lines + "\nPEER=a=b\0c\n"s);
}

TEST(JournalTest, OneThatIsNotThereOrIsStartedAnew) {
  JournalSocket journal;
  journal.Close();
  JournalWriter writer(journal.path());
  const Fields entry = {{"MESSAGE", "hello"}};
  EXPECT_FALSE(writer.Write(entry));
  for (int i = 0; i < 2; ++i) {
    journal.Open();
    EXPECT_TRUE(writer.Write(entry));
    EXPECT_EQ(journal.Next(), "MESSAGE=hello\n");
    journal.Close();
    EXPECT_FALSE(writer.Write(entry));
  }
}

TEST(JournalTest, AnEntryThatIsTooLargeIsNotTaken) {
  JournalSocket journal;
  JournalWriter writer(journal.path());
  const std::string large(64 << 20, 'x');
  EXPECT_FALSE(writer.Write(Fields{{"MESSAGE", large}}));
  EXPECT_TRUE(writer.Write(Fields{{"MESSAGE", "hello"}}));
}

TEST(JournalTest, OneThatDoesNotReadIsWaitedForOnce) {
  JournalSocket journal;
  JournalWriter writer(journal.path());
  int taken = 0;
  auto start = Clock::now();
  while (writer.Write(Fields{{"MESSAGE", fmt::format("{}", taken)}})) {
    ++taken;
    start = Clock::now();
  }
  EXPECT_GE(Clock::now() - start, std::chrono::milliseconds(100));
  start = Clock::now();
  constexpr int kMore = 1000;  // Which would be 100 s.
  for (int i = 0; i < kMore; ++i) EXPECT_FALSE(writer.Write(Fields{{"MESSAGE", "more"}}));
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(20));
  for (int i = 0; i < taken; ++i) EXPECT_EQ(journal.Next(), fmt::format("MESSAGE={}\n", i));
  EXPECT_TRUE(writer.Write(Fields{{"MESSAGE", "again"}}));
  EXPECT_EQ(journal.Next(), "MESSAGE=again\n");
}

TEST(JournalTest, ADescriptorIsTheJournalIfItIsTheOneThatWasMadeForIt) {
  const UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  struct stat status;
  ASSERT_EQ(fstat(fd.get(), &status), 0);
  const std::string stream = fmt::format("{}:{}", status.st_dev, status.st_ino);
  EXPECT_TRUE(IsJournal(fd.get(), stream.c_str()));
  const UniqueFd other(open("/", O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(IsJournal(other.get(), stream.c_str())) << "redirected since";
  EXPECT_FALSE(IsJournal(fd.get(), nullptr));
  EXPECT_FALSE(IsJournal(-1, stream.c_str()));
  for (const std::string& text : {std::string(), stream + "0", "0" + stream, std::string("1")}) {
    EXPECT_FALSE(IsJournal(fd.get(), text.c_str())) << text;
  }
}

}  // namespace
}  // namespace bsockd
