// Imports that are killed half-way: nothing of the image can be seen, and the next writer cleans
// up.
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>

#include "image_fixture.h"
#include "nexcage/image/verify.h"

namespace nexcage::image {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// The child of `parent` that has stopped itself, or 0.
pid_t stopped_child_of(pid_t parent) {
  UniqueFd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto names = sys::list_dir(proc.get());
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    const auto pid = static_cast<pid_t>(std::atoi(name.c_str()));
    auto stat = pid > 0 ? sys::read_stat(pid) : std::nullopt;
    if (stat && *stat && (*stat)->parent == parent && (*stat)->state == 'T') return pid;
  }
  return 0;
}

class KilledImport : public ImageStoreTest, public ::testing::WithParamInterface<const char*> {
 protected:
  /// Starts an import in a process of its own, waits until its helper stops, and kills both.
  void import_and_kill(const char* testpoint) {
    pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      (void)::setenv("NEXCAGE_TESTPOINT", testpoint, 1);
      (void)import("oci:" + path("layout:app"));
      ::_exit(0);
    }
    pid_t helper = 0;
    for (int i = 0; i < 600 && helper == 0; ++i) {
      helper = stopped_child_of(child);
      (void)::usleep(50'000);
    }
    ASSERT_NE(helper, 0) << "the helper never reached " << testpoint;
    auto status_text = sys::read_file(AT_FDCWD, "/proc/" + std::to_string(helper) + "/status");
    ASSERT_OK(status_text);
    helper_status_ = *std::move(status_text);
    ASSERT_EQ(::kill(helper, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
  }

  std::string helper_status_;  // /proc/PID/status of the helper before it was killed
};

TEST_P(KilledImport, LeavesNothingHalfDone) {
#ifndef NEXCAGE_TESTPOINTS
  GTEST_SKIP() << "needs a build with test points";
#endif
  import_and_kill(GetParam());
  EXPECT_THAT(helper_status_, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(helper_status_, HasSubstr("CapEff:\t0000000000000002")) << "CAP_DAC_OVERRIDE alone";
  EXPECT_THAT(helper_status_, HasSubstr("CapBnd:\t0000000000000002"));
  bool named = std::string_view(GetParam()) == "import-named";
  auto image = store().resolve(kName);
  EXPECT_EQ(image.has_value(), named);
  if (named) {
    auto report = verify_image(kName, store(), NEXCAGE_TEST_LIBEXEC);
    ASSERT_OK(report);
    EXPECT_TRUE(report->ok());
  } else {
    EXPECT_THAT(names_in("blobs/sha256"), Not(IsEmpty())) << "killed too early to tell";
  }
  // The next writer cleans up, whatever it does itself.
  output_of({"tar", "-C", path("tree"), "-cf", path("r.tar"), "."});
  ASSERT_OK(import("rootfs:" + path("r.tar"), "other:1"));
  expect_no_garbage();
}

INSTANTIATE_TEST_SUITE_P(At, KilledImport,
                         ::testing::Values("import-layer", "import-blobs", "import-named"));

}  // namespace
}  // namespace nexcage::image
