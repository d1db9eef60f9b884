// The configurations that people start from load: config/bsockd.yaml and the examples of README.md
// and docs/configuration.md.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "lib/config/load.h"

namespace bsockd {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(ShippedConfigTest, IsTheLecturesServer) {
  const LoadedConfig loaded = LoadConfigFile("config/bsockd.yaml");
  ASSERT_EQ(FormatErrors("config/bsockd.yaml", loaded.errors), "");
  ASSERT_EQ(loaded.config.listeners.size(), 1u);
  const ListenerConfig& main = loaded.config.listeners[0];
  EXPECT_EQ(main.name, "main");
  ASSERT_EQ(main.listen.size(), 1u);
  EXPECT_EQ(main.listen[0].ToString(), "127.0.0.1:51717");
  EXPECT_EQ(main.framing.delimiters, (std::vector<std::string>{"@@", "\r\n", "\n"}));
  EXPECT_EQ(main.framing.flush_after, std::chrono::milliseconds(200));
  EXPECT_EQ(main.handler, "greet");
  ASSERT_EQ(loaded.config.handlers.size(), 1u);
  EXPECT_EQ(loaded.config.handlers[0].reply, "I am the server, and I got your message");
  EXPECT_TRUE(loaded.config.handlers[0].log_requests);
}

// The lines of the file, with the examples that are commented out taken in: `# key:` and what
// belongs to it. Prose is a comment that begins with a capital letter; the first line is for
// editors.
std::string WithExamples(const std::string& yaml) {
  std::string result;
  for (size_t start = yaml.find('\n') + 1; start < yaml.size();) {
    const size_t end = yaml.find('\n', start);
    std::string line = yaml.substr(start, end - start);
    start = end + 1;
    const size_t hash = line.find_first_not_of(' ');
    if (hash != line.npos && line[hash] == '#') {
      const size_t text = line.find_first_not_of("# ", hash);
      const bool example = line[hash + 1] == ' ' && text != line.npos &&
                           line.substr(text, line.find_first_of(": ", text) - text) != "this" &&
                           line[text] >= 'a' && line[text] <= 'z';
      if (!example) continue;
      line.erase(hash, 2);
    }
    if (line == "    listen: 127.0.0.1:51717") continue;  // Its example replaces it.
    result += line + "\n";
  }
  return result;
}

TEST(ShippedConfigTest, ExamplesInCommentsLoad) {
  const std::string yaml = WithExamples(Contents("config/bsockd.yaml"));
  const LoadedConfig loaded = LoadConfig(yaml);
  EXPECT_EQ(FormatErrors("examples", loaded.errors), "") << yaml;
  ASSERT_EQ(loaded.config.listeners.size(), 2u) << yaml;
  EXPECT_EQ(loaded.config.listeners[0].listen.size(), 3u);
  EXPECT_EQ(loaded.config.listeners[0].limits.max_frame.value, 64u << 10);
  EXPECT_EQ(loaded.config.handlers.size(), 2u);
}

// The blocks between ```yaml and ```. One that is a whole file begins with a comment that names it:
// `# bsockd.yaml`.
std::vector<std::string> YamlBlocks(const std::string& markdown) {
  constexpr std::string_view kBegin = "\n```yaml\n";
  std::vector<std::string> blocks;
  for (size_t at = markdown.find(kBegin); at != markdown.npos; at = markdown.find(kBegin, at)) {
    at += kBegin.size();
    blocks.push_back(markdown.substr(at, markdown.find("```", at) - at));
  }
  return blocks;
}

TEST(ConfigurationMdTest, WholeFilesLoad) {
  int files = 0;
  for (const std::string& block : YamlBlocks(Contents("docs/configuration.md"))) {
    if (!block.starts_with("# bsockd.yaml")) continue;
    ++files;
    EXPECT_EQ(FormatErrors("example", LoadConfig(block).errors), "") << block;
  }
  EXPECT_GE(files, 10);
}

TEST(ReadmeTest, ItsFileLoads) {
  const std::vector<std::string> blocks = YamlBlocks(Contents("README.md"));
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_EQ(FormatErrors("example", LoadConfig(blocks[0]).errors), "") << blocks[0];
}

TEST(ReadmeTest, ItsErrorsAreThoseThatAreTold) {
  constexpr std::string_view kWrong =
      "handlers:\n"
      "  greet: { reply: \"hello\" }\n"
      "listeners:\n"
      "  main:\n"
      "    listen: \"127.0.0.1:70000\"\n"
      "    framing: { delimeter: \"@@\" }\n"
      "    handler: great\n"
      "    limits: { max_frame: 64KB }\n";
  const std::string errors = FormatErrors("wrong.yaml", LoadConfig(kWrong).errors);
  EXPECT_NE(Contents("README.md").find("wrong.yaml\n" + errors), std::string::npos) << errors;
}

TEST(ConfigurationMdTest, EveryKeyIsInIt) {
  const std::string markdown = Contents("docs/configuration.md");
  for (const char* key : {"workers",
                          "io",
                          "max_connections",
                          "memory_limit",
                          "drain_timeout",
                          "protected",
                          "level",
                          "format",
                          "limits",
                          "timeouts",
                          "errors",
                          "reply",
                          "builtin",
                          "log_requests",
                          "listen",
                          "mode",
                          "framing",
                          "handler",
                          "allow",
                          "deny",
                          "peer",
                          "uid",
                          "gid",
                          "max_connections_per_ip",
                          "max_frame",
                          "max_pipeline",
                          "output_high",
                          "output_low",
                          "requests_per_second",
                          "requests_burst",
                          "max_requests",
                          "first_byte",
                          "frame",
                          "idle",
                          "write",
                          "flush_after",
                          "eof",
                          "overlong",
                          "reply_framing",
                          "line",
                          "delimiter",
                          "length",
                          "packet",
                          "netstring",
                          "varint",
                          "fixed",
                          "raw",
                          "width",
                          "endian",
                          "offset",
                          "adjust",
                          "strip"}) {
    EXPECT_NE(markdown.find("`" + std::string(key) + "`"), std::string::npos) << key;
  }
}

}  // namespace
}  // namespace bsockd
