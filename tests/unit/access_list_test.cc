#include "lib/net/access_list.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace bsockd {
namespace {

std::vector<CidrBlock> Blocks(const std::vector<std::string>& texts) {
  std::vector<CidrBlock> blocks;
  for (const std::string& text : texts) {
    const auto block = CidrBlock::Parse(text);
    EXPECT_TRUE(block.ok()) << text << ": " << block.status();
    if (block.ok()) blocks.push_back(*block);
  }
  return blocks;
}

IpAddress Ip(const std::string& text) { return Blocks({text}).front().network; }

TEST(AccessList, AnEmptyOneContainsNothing) {
  const AccessList list;
  EXPECT_TRUE(list.empty());
  EXPECT_FALSE(list.Contains(Ip("0.0.0.0")));
  EXPECT_FALSE(list.Contains(Ip("::")));
}

TEST(AccessList, ABlockIsContainedFromItsFirstAddressToItsLast) {
  const AccessList list(Blocks({"192.0.2.64/26", "10.0.0.0/8", "2001:db8::/33", "192.0.2.1"}));
  EXPECT_FALSE(list.empty());
  for (const char* in :
       {"192.0.2.64", "192.0.2.127", "10.0.0.0", "10.255.255.255", "192.0.2.1",
        "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", "::ffff:10.1.2.3"}) {
    EXPECT_TRUE(list.Contains(Ip(in))) << in;
  }
  for (const char* out :
       {"192.0.2.63", "192.0.2.128", "9.255.255.255", "11.0.0.0", "192.0.2.0", "192.0.2.2",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8:8000::", "::", "a00::", "a01:203::"}) {
    EXPECT_FALSE(list.Contains(Ip(out))) << out;
  }
}

TEST(AccessList, OneFamilyWholeIsNotTheOther) {
  const AccessList v4(Blocks({"0.0.0.0/0"}));
  EXPECT_TRUE(v4.Contains(Ip("0.0.0.0")));
  EXPECT_TRUE(v4.Contains(Ip("255.255.255.255")));
  EXPECT_FALSE(v4.Contains(Ip("::1")));
  const AccessList v6(Blocks({"::/0"}));
  EXPECT_TRUE(v6.Contains(Ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
  EXPECT_FALSE(v6.Contains(Ip("1.2.3.4")));
}

// As many as a list may have, nested and not, against asking block by block.
TEST(AccessList, SaysWhatItsBlocksSay) {
  constexpr size_t kBlocks = 10000;
  constexpr int kQuestions = 500;
  const char* given = std::getenv("BSOCKD_SEED");
  const unsigned long seed = given ? std::strtoul(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("BSOCKD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);

  const auto address = [&] {
    IpAddress ip;
    ip.v6 = random() % 2 == 0;
    for (int i = 0; i < (ip.v6 ? 16 : 4); ++i) {
      // Few different bytes in front, so that blocks and questions meet.
      ip.bytes[i] = static_cast<uint8_t>(i < 2 ? random() % 16 : random());
    }
    return ip;
  };
  std::vector<CidrBlock> blocks;
  while (blocks.size() < kBlocks) {
    const IpAddress ip = address();
    const int bits = 17 + static_cast<int>(random() % (ip.v6 ? 112 : 16));
    // Parse() wants no bits behind the prefix and says what would be right.
    CidrBlock block{ip, bits};
    for (int i = 0; i < 16; ++i) {
      block.network.bytes[i] &= static_cast<uint8_t>(0xFF00 >> std::clamp(bits - i * 8, 0, 8));
    }
    blocks.push_back(block);
  }
  const AccessList list(blocks);
  int contained = 0;
  for (int i = 0; i < kQuestions; ++i) {
    const IpAddress ip = i % 2 == 0 ? address() : blocks[random() % kBlocks].network;
    const bool expected = std::any_of(blocks.begin(), blocks.end(),
                                      [&](const CidrBlock& block) { return block.Contains(ip); });
    ASSERT_EQ(list.Contains(ip), expected) << ip.ToString();
    contained += expected ? 1 : 0;
  }
  EXPECT_GT(contained, kQuestions / 2);
  EXPECT_LT(contained, kQuestions);
}

}  // namespace
}  // namespace bsockd
