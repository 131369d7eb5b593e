#include "nexcage/image/helper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A libexec directory whose `image` is this shell script.
class Helper {
 public:
  explicit Helper(const std::string& script)
      : dir_(sys::TempDir::create("/tmp", "helper").value()) {
    EXPECT_OK(
        sys::write_file_atomic(dir_.fd(), "image", "#!/bin/sh\n" + script, 0755, sys::Durable::no));
  }
  Result<json::Value> call(const HelperStreams& streams) const {
    return call_helper(dir_.path(), "work", json::Object(), streams);
  }

 private:
  sys::TempDir dir_;
};

TEST(CallHelper, TellsEventsInOrderWhileTheAnswerIsOutstanding) {
  const Helper helper(R"(
printf '{"n":1}\n{"n"' >&5
printf ':2}\nno json\n[3]\n{"n":4}\n{"cut' >&5
printf '{"ok":7}' >&4)");
  std::vector<std::int64_t> seen;
  HelperStreams streams;
  streams.on_event = [&](const json::Value& event) {
    seen.push_back(event.find("n")->as_i64().value());
  };
  auto answer = helper.call(streams);
  ASSERT_OK(answer);
  EXPECT_EQ(answer->as_i64(), 7);
  EXPECT_THAT(seen, ElementsAre(1, 2, 4));
}

TEST(CallHelper, MoreEventsThanAPipeHolds) {
  const Helper helper(R"(
i=0; while [ $i -lt 3000 ]; do echo '{"text":"01234567890123456789012345678901234567890123456789"}'; i=$((i+1)); done >&5
printf '{"ok":null}' >&4)");
  int count = 0;
  HelperStreams streams;
  streams.on_event = [&](const json::Value&) { ++count; };
  ASSERT_OK(helper.call(streams));
  EXPECT_EQ(count, 3000);
}

TEST(CallHelper, ReadsAndWritesWhatItIsGiven) {
  const Helper helper(R"(cat; test -e /dev/fd/5; printf '{"ok":%d}' $? >&4)");
  UniqueFd input = sys::sealed_data("from us", "input").value();
  UniqueFd output = sys::memory_file("output").value();
  auto answer =
      helper.call({.input = input.get(), .output = output.get(), .on_event = {}, .on_tick = {}});
  ASSERT_OK(answer);
  EXPECT_EQ(answer->as_i64(), 1) << "nobody listens: there is no descriptor 5";
  (void)::lseek(output.get(), 0, SEEK_SET);
  EXPECT_EQ(sys::read_all(output.get()).value(), "from us");
}

TEST(CallHelper, AHelperThatDiesIsAnErrorWhateverItTold) {
  const Helper helper(R"(echo '{"n":1}' >&5; kill -9 $$)");
  HelperStreams streams;
  streams.on_event = [](const json::Value&) {};
  EXPECT_ERROR(helper.call(streams), Errc::FileError, HasSubstr("SIGKILL"));
}

}  // namespace
}  // namespace nexcage::image
