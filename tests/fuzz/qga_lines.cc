// What comes over the port of the QEMU guest agent, in the portions that the first byte chooses:
// cut into lines, read as commands, and answered.
#include <algorithm>

#include "harness.h"
#include "nexcage/vm/qga/line.h"
#include "nexcage/vm/qga/reply.h"
#include "nexcage/vm/qga/request.h"

namespace nexcage::fuzz {
namespace {

namespace qga = vm::qga;

/// Every answer is one line of JSON that says "return" or "error", and repeats the id.
void check_answer(const std::string& answer, const qga::Id& id) {
  check(answer.find('\n') == answer.size() - 1, "an answer is one line");
  const auto value = json::parse(answer);
  check(value.has_value(), "an answer is JSON");
  check((value->find("return") != nullptr) != (value->find("error") != nullptr),
        "an answer is a result or an error");
  check((value->find("id") != nullptr) == id.has_value(), "the id comes back");
}

void check_exec(const qga::ExecCommand& exec) {
  check(!exec.args.empty() && !exec.args.front().empty(), "a process has a program");
  for (const auto* words : {&exec.args, &exec.env})
    for (const std::string& word : *words)
      check(!word.contains('\0'), "words of a process hold no zero bytes");
  for (const std::string& word : exec.env)
    check(word.find('=') != std::string::npos && word[0] != '=', "a variable has a name");
}

void take(const qga::Line& line) {
  check(line.text.size() <= qga::kMaxLine, "a line is bounded");
  check(!line.text.contains('\n') && !line.text.contains('\xff'), "a line is one");
  check(!line.too_long || line.text.empty(), "of what is too long nothing is kept");
  const qga::Request request = qga::parse_request(line.text);
  if (!request.command) {
    check_message(request.command.error());
    return check_answer(qga::reply_error(request.id, request.command.error()), request.id);
  }
  if (const auto* exec = std::get_if<qga::ExecCommand>(&*request.command)) check_exec(*exec);
  check_answer(qga::reply(request.id, qga::info_result()), request.id);
}

}  // namespace

NX_HARNESS(qga_lines) {
  std::string_view bytes = text_of(data, size);
  if (bytes.empty()) return 0;
  const std::size_t portion = static_cast<unsigned char>(bytes[0]) + std::size_t{1};
  bytes.remove_prefix(1);
  qga::LineReader reader;
  while (!bytes.empty()) {
    reader.feed(bytes.substr(0, portion));
    bytes.remove_prefix(std::min(portion, bytes.size()));
    while (const auto line = reader.next()) take(*line);
  }
  return 0;
}

}  // namespace nexcage::fuzz
