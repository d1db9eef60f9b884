// What the tests of the configuration have in common.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "lib/config/load.h"

namespace bsockd {

inline Config MustLoad(std::string_view yaml) {
  LoadedConfig loaded = LoadConfig(yaml);
  EXPECT_EQ(FormatErrors("config", loaded.errors), "") << yaml;
  return loaded.config;
}

inline void ExpectSame(const HandlerConfig& a, const HandlerConfig& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.reply, b.reply);
  EXPECT_EQ(a.builtin, b.builtin);
  EXPECT_EQ(a.log_requests, b.log_requests);
}

inline void ExpectSame(const ListenerConfig& a, const ListenerConfig& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.listen, b.listen);
  EXPECT_EQ(a.mode, b.mode);
  EXPECT_EQ(a.framing, b.framing);
  EXPECT_EQ(a.reply_framing, b.reply_framing);
  EXPECT_EQ(a.handler, b.handler);
  EXPECT_EQ(a.limits, b.limits);
  EXPECT_EQ(a.timeouts, b.timeouts);
  EXPECT_EQ(a.reply_errors, b.reply_errors);
  EXPECT_EQ(a.allow, b.allow);
  EXPECT_EQ(a.deny, b.deny);
  EXPECT_EQ(a.peer, b.peer);
}

inline void ExpectSame(const Config& a, const Config& b) {
  EXPECT_EQ(a.server.workers, b.server.workers);
  EXPECT_EQ(a.server.io, b.server.io);
  EXPECT_EQ(a.server.max_connections, b.server.max_connections);
  EXPECT_EQ(a.server.memory_limit, b.server.memory_limit);
  EXPECT_EQ(a.server.drain_timeout, b.server.drain_timeout);
  EXPECT_EQ(a.server.protection, b.server.protection);
  EXPECT_EQ(a.log.level, b.log.level);
  EXPECT_EQ(a.log.format, b.log.format);
  ASSERT_EQ(a.handlers.size(), b.handlers.size());
  for (size_t i = 0; i < a.handlers.size(); ++i) ExpectSame(a.handlers[i], b.handlers[i]);
  ASSERT_EQ(a.listeners.size(), b.listeners.size());
  for (size_t i = 0; i < a.listeners.size(); ++i) ExpectSame(a.listeners[i], b.listeners[i]);
}

}  // namespace bsockd
