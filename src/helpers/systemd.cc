// libexec/nexcage/systemd: asks systemd for a transient scope, to change it, or to end it
// (org.freedesktop.systemd1(5)). Apart from the front binary, which links libc only. Usage:
//
//   systemd start|set|stop UNIT
//
// start, set: reads the unit's properties, one a line: NAME TYPE VALUE, with TYPE one of s, b, t
// (both numbers), au (one number), ay (hexadecimal) and a(ss) (two words). start and stop return
// when the job is done. Stopping what is not there is success. What went wrong is told on standard
// error.
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace {

using nexcage::Errc;
using nexcage::fail;
using nexcage::Result;

constexpr const char* kService = "org.freedesktop.systemd1";
constexpr const char* kPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kPrivateSocket = "unix:path=/run/systemd/private";
constexpr std::chrono::seconds kJobTime(25);
constexpr std::size_t kMaxInput = 1U << 20;

struct Unref {
  void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Bus = std::unique_ptr<sd_bus, Unref>;
using Message = std::unique_ptr<sd_bus_message, Unref>;

/// The manager's answer that says no.
class BusError {
 public:
  BusError() = default;
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
  ~BusError() { sd_bus_error_free(&error_); }
  sd_bus_error* get() { return &error_; }
  bool is(const char* name) const { return sd_bus_error_has_name(&error_, name) != 0; }
  std::string text(int code) const {
    return error_.message != nullptr ? error_.message : std::strerror(-code);
  }

 private:
  sd_bus_error error_ = SD_BUS_ERROR_NULL;
};

std::unexpected<nexcage::Error> bus_failure(int code, const std::string& what) {
  return nexcage::fail_errno(-code, what);
}

/// root's own way to the manager, which needs no message bus; then the system's bus.
Result<Bus> connect() {
  sd_bus* raw = nullptr;
  if (sd_bus_new(&raw) >= 0) {
    Bus bus(raw);
    if (sd_bus_set_address(raw, kPrivateSocket) >= 0 && sd_bus_start(raw) >= 0) return bus;
  }
  if (const int code = sd_bus_open_system(&raw); code < 0)
    return bus_failure(code, "connect to systemd");
  return Bus(raw);
}

/// Results of the jobs that have ended, by their paths.
using Jobs = std::map<std::string, std::string>;

int job_removed(sd_bus_message* message, void* jobs, sd_bus_error* /*error*/) {
  std::uint32_t id = 0;
  const char *path = nullptr, *unit = nullptr, *result = nullptr;
  const int code = sd_bus_message_read(message, "uoss", &id, &path, &unit, &result);
  if (code >= 0) (*static_cast<Jobs*>(jobs))[path] = result;
  return 0;
}

Result<Message> method(sd_bus* bus, const char* name) {
  sd_bus_message* raw = nullptr;
  if (const int code = sd_bus_message_new_method_call(bus, &raw, kService, kPath, kManager, name);
      code < 0)
    return bus_failure(code, name);
  return Message(raw);
}

Result<std::string> bytes_of(std::string_view hexadecimal) {
  std::string bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (std::size_t i = 0; i + 1 < hexadecimal.size(); i += 2)
    bytes += static_cast<char>(digit(hexadecimal[i]) << 4 | digit(hexadecimal[i + 1]));
  return bytes;
}

int append_bytes(sd_bus_message* message, const char* name, const std::string& bytes) {
  int code = sd_bus_message_open_container(message, 'r', "sv");
  if (code >= 0) code = sd_bus_message_append(message, "s", name);
  if (code >= 0) code = sd_bus_message_open_container(message, 'v', "ay");
  if (code >= 0) code = sd_bus_message_append_array(message, 'y', bytes.data(), bytes.size());
  if (code >= 0) code = sd_bus_message_close_container(message);
  return code < 0 ? code : sd_bus_message_close_container(message);
}

/// One line of the input as a member of the array that is open.
Result<> append_property(sd_bus_message* message, const std::string& line) {
  const std::vector<std::string> words = nexcage::split(line, ' ');
  if (words.size() < 3) return fail(Errc::InvalidSpec, "property " + nexcage::quote(line));
  const char* name = words[0].c_str();
  const std::string& type = words[1];
  const std::string value = line.substr(words[0].size() + type.size() + 2);
  const std::uint64_t number = nexcage::parse_u64(value).value_or(0);
  int code = -EINVAL;
  if (type == "s") code = sd_bus_message_append(message, "(sv)", name, "s", value.c_str());
  if (type == "b") code = sd_bus_message_append(message, "(sv)", name, "b", number != 0 ? 1 : 0);
  if (type == "t") code = sd_bus_message_append(message, "(sv)", name, "t", number);
  if (type == "au")
    code =
        sd_bus_message_append(message, "(sv)", name, "au", 1, static_cast<std::uint32_t>(number));
  if (type == "ay") {
    NX_TRY(const std::string bytes, bytes_of(value));
    code = append_bytes(message, name, bytes);
  }
  if (type == "a(ss)" && words.size() == 4)
    code = sd_bus_message_append(message, "(sv)", name, "a(ss)", 1, words[2].c_str(),
                                 words[3].c_str());
  if (code < 0) return bus_failure(code, "property " + nexcage::quote(line));
  return {};
}

Result<> append_properties(sd_bus_message* message, const std::string& text) {
  if (const int code = sd_bus_message_open_container(message, 'a', "(sv)"); code < 0)
    return bus_failure(code, "properties");
  for (const std::string& line : nexcage::split(text, '\n'))
    if (!line.empty()) NX_CHECK(append_property(message, line));
  if (const int code = sd_bus_message_close_container(message); code < 0)
    return bus_failure(code, "properties");
  return {};
}

/// Sends it and reads the path of the job from the answer.
Result<std::string> call_for_job(sd_bus* bus, sd_bus_message* message, BusError& error) {
  sd_bus_message* raw = nullptr;
  int code = sd_bus_call(bus, message, 0, error.get(), &raw);
  if (code < 0) return fail(Errc::FileError, error.text(code));
  const Message answer(raw);
  const char* job = nullptr;
  code = sd_bus_message_read(raw, "o", &job);
  if (code < 0) return bus_failure(code, "answer of systemd");
  return std::string(job);
}

Result<> await_job(sd_bus* bus, const Jobs& jobs, const std::string& job) {
  const auto deadline = std::chrono::steady_clock::now() + kJobTime;
  while (!jobs.contains(job)) {
    int code = sd_bus_process(bus, nullptr);
    if (code == 0) {
      const auto left = std::chrono::duration_cast<std::chrono::microseconds>(
          deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return fail(Errc::Timeout, "the job of systemd does not end");
      code = sd_bus_wait(bus, static_cast<std::uint64_t>(left.count()));
    }
    if (code < 0 && code != -EINTR) return bus_failure(code, "wait for systemd");
  }
  const std::string& result = jobs.at(job);
  if (result != "done") return fail(Errc::FileError, "the job of systemd ended as " + result);
  return {};
}

/// A unit that failed keeps its name until it is forgotten.
void forget_failed(sd_bus* bus, const char* unit) {
  (void)sd_bus_call_method(bus, kService, kPath, kManager, "ResetFailedUnit", nullptr, nullptr, "s",
                           unit);
}

Result<std::string> start_job(sd_bus* bus, const char* unit, const std::string& properties) {
  for (bool again = false;; again = true) {
    NX_TRY(const Message message, method(bus, "StartTransientUnit"));
    if (const int code = sd_bus_message_append(message.get(), "ss", unit, "fail"); code < 0)
      return bus_failure(code, "StartTransientUnit");
    NX_CHECK(append_properties(message.get(), properties));
    if (const int code = sd_bus_message_append(message.get(), "a(sa(sv))", 0); code < 0)
      return bus_failure(code, "StartTransientUnit");
    BusError error;
    auto job = call_for_job(bus, message.get(), error);
    if (job || again || !error.is("org.freedesktop.systemd1.UnitExists")) return job;
    forget_failed(bus, unit);
  }
}

Result<> set(sd_bus* bus, const char* unit, const std::string& properties) {
  NX_TRY(const Message message, method(bus, "SetUnitProperties"));
  // Until it ends, not in a file.
  if (const int code = sd_bus_message_append(message.get(), "sb", unit, 1); code < 0)
    return bus_failure(code, "SetUnitProperties");
  NX_CHECK(append_properties(message.get(), properties));
  BusError error;
  if (const int code = sd_bus_call(bus, message.get(), 0, error.get(), nullptr); code < 0)
    return fail(Errc::FileError, error.text(code));
  return {};
}

Result<> act(std::string_view verb, const char* unit) {
  NX_TRY(const Bus bus, connect());
  Jobs jobs;
  int code = sd_bus_match_signal(bus.get(), nullptr, nullptr, kPath, kManager, "JobRemoved",
                                 job_removed, &jobs);
  if (code >= 0)
    code =
        sd_bus_call_method(bus.get(), kService, kPath, kManager, "Subscribe", nullptr, nullptr, "");
  if (code < 0) return bus_failure(code, "listen to systemd");
  std::string properties;
  if (verb != "stop") {
    NX_TRY(properties, nexcage::sys::read_all(STDIN_FILENO, kMaxInput), "read the properties");
  }
  if (verb == "set") return set(bus.get(), unit, properties);
  if (verb == "start") {
    NX_TRY(const std::string job, start_job(bus.get(), unit, properties));
    return await_job(bus.get(), jobs, job);
  }
  if (verb != "stop") return fail(Errc::InvalidSpec, "unknown verb");
  NX_TRY(const Message message, method(bus.get(), "StopUnit"));
  code = sd_bus_message_append(message.get(), "ss", unit, "replace");
  if (code < 0) return bus_failure(code, "StopUnit");
  BusError error;
  auto job = call_for_job(bus.get(), message.get(), error);
  if (error.is("org.freedesktop.systemd1.NoSuchUnit")) return {};
  if (!job) return fail(std::move(job).error());
  NX_CHECK(await_job(bus.get(), jobs, *job));
  forget_failed(bus.get(), unit);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  auto done = act(argv[1], argv[2]);
  if (done) return 0;
  const std::string text = done.error().message() + "\n";
  (void)!::write(STDERR_FILENO, text.data(), text.size());
  return 1;
}
