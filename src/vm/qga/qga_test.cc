#include <gtest/gtest.h>

#include "nexcage/vm/qga/line.h"
#include "nexcage/vm/qga/reply.h"
#include "nexcage/vm/qga/request.h"
#include "result_matchers.h"

namespace nexcage::vm::qga {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> lines(LineReader& reader) {
  std::vector<std::string> out;
  while (auto line = reader.next()) out.push_back(line->too_long ? "(too long)" : line->text);
  return out;
}

TEST(QgaLines, come_in_any_portion) {
  const std::string all = "{\"a\":1}\n\r\n \n{\"b\":2}\r\nrest";
  for (std::size_t portion = 1; portion <= all.size(); ++portion) {
    LineReader reader;
    for (std::size_t at = 0; at < all.size(); at += portion) reader.feed(all.substr(at, portion));
    EXPECT_THAT(lines(reader), ElementsAre("{\"a\":1}", "{\"b\":2}\r")) << portion;
    reader.feed("\n");
    EXPECT_THAT(lines(reader), ElementsAre("rest")) << portion;
  }
}

TEST(QgaLines, a_delimiter_begins_anew) {
  LineReader reader;
  reader.feed("{\"half\": \xff\xff{\"a\":1}\n{\"b\"");
  EXPECT_THAT(lines(reader), ElementsAre("{\"a\":1}"));
  reader.reset();
  reader.feed("{}\n");
  EXPECT_THAT(lines(reader), ElementsAre("{}"));
}

TEST(QgaLines, one_without_end_is_not_kept) {
  LineReader reader;
  const std::string part(64u << 10, 'x');
  for (int i = 0; i < 64; ++i) reader.feed(part);
  EXPECT_THAT(lines(reader), ElementsAre());
  reader.feed("\n{}\n");
  EXPECT_THAT(lines(reader), ElementsAre("(too long)", "{}"));
  reader.feed(std::string(kMaxLine, 'y') + "\n" + std::string(kMaxLine + 1, 'z') + "\n");
  EXPECT_THAT(lines(reader), ElementsAre(std::string(kMaxLine, 'y'), "(too long)"));
  // Also one that is too long ends at a delimiter.
  reader.feed(std::string(kMaxLine + 1, 'z') + "\xff{}\n");
  EXPECT_THAT(lines(reader), ElementsAre("{}"));
}

template <class T>
T parsed(std::string_view line) {
  const Request request = parse_request(line);
  EXPECT_OK(request.command);
  if (!request.command || !std::holds_alternative<T>(*request.command)) {
    ADD_FAILURE() << "another command: " << line;
    return T{};
  }
  return std::get<T>(*request.command);
}

TEST(QgaRequest, commands_have_their_arguments) {
  EXPECT_TRUE(
      parsed<Sync>(R"({"execute":"guest-sync-delimited","arguments":{"id":9007199254740993}})")
          .delimited);
  EXPECT_EQ(parsed<Sync>(R"({"execute":"guest-sync","arguments":{"id":-4}})").id, -4);
  (void)parsed<Ping>(R"({"execute":"guest-ping","arguments":{}})");
  (void)parsed<Shutdown>(R"({"execute":"guest-shutdown"})");
  (void)parsed<Shutdown>(R"({"execute":"guest-shutdown","arguments":{"mode":"powerdown"}})");
  EXPECT_EQ(parsed<ExecStatus>(R"({"execute":"guest-exec-status","arguments":{"pid":7}})").pid, 7u);
  const auto exec = parsed<ExecCommand>(
      R"({"execute":"guest-exec","arguments":{"path":"sh","arg":["-c","x"],"env":["A=b"],)"
      R"("input-data":"aGk=","capture-output":true}})");
  EXPECT_THAT(exec.args, ElementsAre("sh", "-c", "x"));
  EXPECT_THAT(exec.env, ElementsAre("A=b"));
  EXPECT_EQ(exec.input, "hi");
  EXPECT_EQ(exec.capture, Capture::separated);
  EXPECT_EQ(parsed<ExecCommand>(R"({"execute":"guest-exec","arguments":{"path":"x"}})").capture,
            Capture::none);
  EXPECT_EQ(parsed<ExecCommand>(
                R"({"execute":"guest-exec","arguments":{"path":"x","capture-output":"merged"}})")
                .capture,
            Capture::merged);
}

void refused(std::string_view line, Errc code, const char* text) {
  const Request request = parse_request(line);
  SCOPED_TRACE(line.substr(0, 100));
  EXPECT_ERROR(request.command, code, HasSubstr(text));
  // Whatever it was, the answer is one line of JSON.
  ASSERT_FALSE(request.command);
  const std::string answer = reply_error(request.id, request.command.error());
  EXPECT_EQ(answer.find('\n'), answer.size() - 1) << answer;
  EXPECT_OK(json::parse(answer));
}

std::string exec_with(const std::string& arguments) {
  return R"({"execute":"guest-exec","arguments":{)" + arguments + "}}";
}

TEST(QgaRequest, what_is_none_is_refused) {
  refused("garbage", Errc::InvalidJson, "JSON parse error");
  refused("\x01\x02\xc3", Errc::InvalidJson, "JSON parse error");
  refused("[]", Errc::InvalidJson, "must be a JSON object");
  refused("{}", Errc::InvalidJson, "lacks member 'execute'");
  refused(R"({"execute":7})", Errc::InvalidJson, "lacks member 'execute'");
  refused(R"({"execute":"guest-ping","arguments":[]})", Errc::InvalidJson, "must be an object");
  refused(R"({"execute":"guest-ping"}{"execute":"guest-ping"})", Errc::InvalidJson, "JSON parse");
  refused(R"({"execute":"guest-file-open"})", Errc::Unsupported, "guest-file-open");
  refused("{\"execute\":\"\\u0000\\n\"}", Errc::Unsupported, "has not been found");
  refused(std::string(100000, '['), Errc::InvalidJson, "JSON parse error");
  refused(R"({"execute":"guest-ping","arguments":{"x":)" + std::string(40, '[') +
              std::string(40, ']') + "}}",
          Errc::InvalidJson, "JSON parse error");
}

TEST(QgaRequest, wrong_arguments_are_refused) {
  refused(R"({"execute":"guest-ping","arguments":{"x":1}})", Errc::InvalidConfig, "unexpected");
  refused(R"({"execute":"guest-sync"})", Errc::InvalidConfig, "is missing");
  refused(R"({"execute":"guest-sync","arguments":{"id":1.5}})", Errc::InvalidConfig, "integer");
  refused(exec_with(""), Errc::InvalidConfig, "is missing");
  refused(exec_with(R"("path":"")"), Errc::InvalidConfig, "is empty");
  refused(exec_with(R"("path":["x"])"), Errc::InvalidConfig, "expected: string");
  refused(exec_with(R"("path":"a\u0000b")"), Errc::InvalidConfig, "zero byte");
  refused(exec_with(R"("path":"x","arg":"y")"), Errc::InvalidConfig, "expected: array");
  refused(exec_with(R"("path":"x","arg":[1])"), Errc::InvalidConfig, "expected: string");
  refused(exec_with(R"("path":"x","env":["novalue"])"), Errc::InvalidConfig, "without a name");
  refused(exec_with(R"("path":"x","input-data":"%")"), Errc::InvalidConfig, "no Base64");
  refused(exec_with(R"("path":"x","capture-output":1)"), Errc::InvalidConfig, "boolean or string");
  refused(exec_with(R"("path":"x","capture-output":"all")"), Errc::InvalidConfig, "not accept");
  refused(exec_with(R"("path":"x","username":"root")"), Errc::InvalidConfig, "unexpected");
  for (const char* pid : {"0", "-1", "4294967297", "2147483648"})
    refused(std::string(R"({"execute":"guest-exec-status","arguments":{"pid":)") + pid + "}}",
            Errc::InvalidConfig, "'pid'");
  refused(R"({"execute":"guest-shutdown","arguments":{"mode":"reboot"}})", Errc::InvalidConfig,
          "only powerdown");
}

TEST(QgaReply, is_what_qemu_ga_says) {
  EXPECT_EQ(reply({}, json::Value(json::Object{})), "{\"return\":{}}\n");
  EXPECT_EQ(reply_sync({}, {.id = 5, .delimited = true}), "\xff{\"return\":5}\n");
  const Request request = parse_request(R"({"execute":"guest-x","id":{"a":1}})");
  EXPECT_EQ(
      reply_error(request.id, request.command.error()),
      "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"The command \\\"guest-x\\\" has not "
      "been found\"},\"id\":{\"a\":1}}\n");
  ProcessStatus status;
  status.out = "not yet";
  EXPECT_EQ(reply({}, status_result(status)), "{\"return\":{\"exited\":false}}\n");
  status = {};
  status.exited = true;
  status.code = 7;
  status.out = "hi";
  status.out_truncated = true;
  EXPECT_EQ(reply({}, status_result(status)),
            "{\"return\":{\"exited\":true,\"exitcode\":7,\"out-data\":\"aGk=\","
            "\"out-truncated\":true}}\n");
  status = {};
  status.exited = true;
  status.signal = 9;
  status.err = "hi";
  EXPECT_EQ(reply({}, status_result(status)),
            "{\"return\":{\"exited\":true,\"signal\":9,\"err-data\":\"aGk=\"}}\n");
  EXPECT_THAT(reply({}, info_result()),
              HasSubstr("{\"enabled\":true,\"name\":\"guest-exec\",\"success-response\":true}"));
}

}  // namespace
}  // namespace nexcage::vm::qga
