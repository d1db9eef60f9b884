#include "lib/server/connection_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace bsockd {
namespace {

UniqueFd SomeDescriptor() { return UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC)); }

TEST(ConnectionTable, ASlotIsUsedAgainUnderAnotherGeneration) {
  ConnectionTable table;
  const ConnectionId first = table.Add(SomeDescriptor(), nullptr, nullptr).id();
  EXPECT_NE(table.Find(first), nullptr);
  table.Remove(first.slot);
  EXPECT_EQ(table.Find(first), nullptr);
  const ConnectionId second = table.Add(SomeDescriptor(), nullptr, nullptr).id();
  EXPECT_EQ(second.slot, first.slot);
  EXPECT_EQ(table.Find(first), nullptr) << "an old name must not find the slot's new connection";
  EXPECT_EQ(table.Find(second), &table.At(second.slot));
}

TEST(ConnectionTable, ConnectionsStayWhereTheyAre) {
  ConnectionTable table;
  Connection* first = &table.Add(SomeDescriptor(), nullptr, nullptr);
  for (int i = 0; i < 1000; ++i) table.Add(SomeDescriptor(), nullptr, nullptr);
  EXPECT_EQ(&table.At(first->id().slot), first);
  EXPECT_EQ(table.size(), 1001u);
  size_t visited = 0;
  table.ForEach([&](Connection&) { ++visited; });
  EXPECT_EQ(visited, 1001u);
}

TEST(ConnectionTable, RemovingClosesTheSocket) {
  ConnectionTable table;
  UniqueFd fd = SomeDescriptor();
  const int number = fd.get();
  const ConnectionId id = table.Add(std::move(fd), nullptr, nullptr).id();
  EXPECT_GE(fcntl(number, F_GETFD), 0);
  table.Remove(id.slot);
  EXPECT_LT(fcntl(number, F_GETFD), 0);
}

TEST(ConnectionTable, AnUnknownNameFindsNothing) {
  ConnectionTable table;
  EXPECT_EQ(table.Find({.slot = 7, .generation = 0}), nullptr);
}

}  // namespace
}  // namespace bsockd
