#include "nexcage/storage/zfs/failure.h"

#include <array>
#include <cerrno>

#include "result_matchers.h"

namespace nexcage::storage::zfs {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Said {
  const char* words;
  Failure failure;
  int exit_code = 1;
};

class ZfsFailure : public testing::TestWithParam<Said> {};

TEST_P(ZfsFailure, is_what_the_program_meant) {
  EXPECT_EQ(classify(GetParam().words, GetParam().exit_code), GetParam().failure)
      << GetParam().words;
}

TEST_P(ZfsFailure, is_kept_by_the_error) {
  const Error error = to_error("x", GetParam().words, GetParam().exit_code);
  EXPECT_EQ(failure_of(error), GetParam().failure) << error.debug_message();
}

INSTANTIATE_TEST_SUITE_P(
    Said, ZfsFailure,
    testing::ValuesIn(std::to_array<Said>({
        {"cannot open 'tank/a': dataset does not exist\n", Failure::no_such_dataset},
        {"cannot open 'pool': no such pool\n", Failure::no_such_dataset},
        {"could not find any snapshots to destroy; check snapshot names.\n",
         Failure::no_such_dataset},
        {"cannot create 'tank/a/b': parent does not exist\n", Failure::no_such_dataset},
        {"cannot create 'tank/a/b': no such parent 'tank/a'\n", Failure::no_such_dataset},
        {"cannot create 'tank/a': dataset already exists\n", Failure::exists},
        {"cannot create snapshot 'tank/a@s': dataset already exists\n", Failure::exists},
        {"cannot receive new filesystem stream: destination 'tank/a' exists\n"
         "must specify -F to overwrite it\n",
         Failure::exists},
        {"cannot destroy 'tank/a': dataset is busy\n", Failure::busy},
        {"cannot unmount '/mnt': pool or dataset is busy\n", Failure::busy},
        {"cannot destroy snapshot tank/a@s: dataset is busy\n", Failure::busy},
        {"cannot destroy snapshot tank/a@s: it's being held. Run 'zfs holds -r tank/a@s' to see "
         "holders.\n",
         Failure::busy},
        {"cannot destroy 'tank/a': filesystem has children\n"
         "use '-r' to destroy the following datasets:\ntank/a/b\ntank/a@s\n",
         Failure::has_dependents},
        {"cannot destroy 'tank/a@s': snapshot has dependent clones\n"
         "use '-R' to destroy the following datasets:\ntank/c\n",
         Failure::has_dependents},
        {"cannot destroy snapshot tank/a@s: snapshot is cloned\n", Failure::has_dependents},
        {"cannot rollback to 'tank/a@s': more recent snapshots or bookmarks exist\n"
         "use '-r' to force deletion of the following snapshots and bookmarks:\ntank/a@t\n",
         Failure::has_dependents},
        {"cannot rollback to 'tank/a@s': clones of previous snapshots exist\n"
         "use '-R' to force deletion of the following clones and dependents:\ntank/c\n",
         Failure::has_dependents},
        {"cannot create 'tank/a': out of space\n", Failure::out_of_space},
        {"Warning: volblocksize (4096) is less than the default minimum block size (8192).\n"
         "To reduce wasted space a volblocksize of 8192 is recommended.\n"
         "cannot create 'tank/v': out of space\n",
         Failure::out_of_space},
        {"cannot receive new filesystem stream: destination tank/a space quota exceeded.\n",
         Failure::out_of_space},
        {"cannot set property for 'tank/a': size is less than current used or reserved space\n",
         Failure::out_of_space},
        {"cannot create 'tank/a': permission denied\n", Failure::permission},
        {"Permission denied the ZFS utilities must be run as root.\n", Failure::permission},
        {"The ZFS modules are not loaded.\nTry running '/sbin/modprobe zfs' as root to load "
         "them.\n",
         Failure::not_available},
        {"The ZFS modules cannot be auto-loaded.\n"
         "Try running 'modprobe zfs' as root to manually load them.\n",
         Failure::not_available},
        {"/dev/zfs and /proc/self/mounts are required.\n"
         "Try running 'udevadm trigger' and 'mount -t proc proc /proc' as root.\n",
         Failure::not_available},
        {"cannot create 'tank/a': invalid property 'nonsense'\n", Failure::invalid},
        {"cannot set property for 'tank/a': 'used' is readonly\n", Failure::invalid},
        {"cannot create 'tank/a': bad numeric value 'much'\n", Failure::invalid},
        {"cannot set property for 'tank/a': use 'none' to disable quota/refquota\n",
         Failure::invalid},
        {"cannot promote 'tank/a': not a cloned filesystem\n", Failure::invalid},
        {"cannot create 'tank/v': volume size cannot be zero\n", Failure::invalid},
        {"cannot create 'other/c': source and target pools differ\n", Failure::invalid},
        {"cannot receive new filesystem stream: incomplete stream\n", Failure::invalid},
        {"cannot receive incremental stream: most recent snapshot of tank/a does not\n"
         "match incremental source\n",
         Failure::invalid},
        {"cannot promote 'tank/c': conflicting snapshot 's' from parent 'tank/a@s'\n",
         Failure::exists},
        {"cannot open 'tank/no': dataset does not exist\nusage:\n\tsnapshot [-r]\n",
         Failure::no_such_dataset, 2},
        {"cannot open 'nopool': dataset does not exist\n"
         "cannot receive new filesystem stream: unable to restore to destination\n",
         Failure::no_such_dataset},
        {"missing dataset argument\nusage:\n\tdestroy [-fnpRrv] <filesystem|volume>\n",
         Failure::invalid, 2},
        {"anything at all", Failure::invalid, 2},
        {"cannot open 'tank': pool I/O is currently suspended\n", Failure::other},
        {"internal error: cannot open 'tank/a': Unknown error 1024\n", Failure::other, 134},
        {"", Failure::other},
    })));

TEST(ZfsFailureOfNames, is_not_told_by_what_a_dataset_is_called) {
  for (const char* words :
       {"cannot open 'tank/invalid': I/O error\n", "cannot open 'missing': I/O error\n",
        "cannot destroy snapshot tank/x@already: I/O error\n",
        "cannot unmount '/mnt/dataset is busy/x': I/O error\n"})
    EXPECT_EQ(classify(words, 1), Failure::other) << words;
}

TEST(ZfsError, keeps_the_words_says_what_was_attempted_and_what_to_do) {
  const Error error =
      to_error("destroy dataset tank/a",
               "cannot destroy 'tank/a': filesystem has children\n"
               "use '-r' to destroy the following datasets:\ntank/a/b\n\ntank/a/c\n",
               1);
  EXPECT_EQ(error.code(), Errc::ZFSError);
  EXPECT_EQ(error.sys_errno(), ENOTEMPTY);
  EXPECT_THAT(
      error.message(),
      StartsWith("destroy dataset tank/a: cannot destroy 'tank/a': filesystem has children; use "
                 "'-r' to destroy the following datasets: tank/a/b; tank/a/c"));
  EXPECT_THAT(error.hint(), HasSubstr("first"));
}

TEST(ZfsError, has_the_errno_of_its_kind) {
  const auto errno_of = [](const char* words) { return to_error("x", words, 1).sys_errno(); };
  EXPECT_EQ(errno_of("cannot open 'a/b': dataset does not exist"), ENOENT);
  EXPECT_EQ(errno_of("cannot create 'a/b': dataset already exists"), EEXIST);
  EXPECT_EQ(errno_of("cannot destroy 'a/b': dataset is busy"), EBUSY);
  EXPECT_EQ(errno_of("cannot create 'a/b': out of space"), ENOSPC);
  EXPECT_EQ(errno_of("cannot receive: destination a/b space quota exceeded."), EDQUOT);
  EXPECT_EQ(errno_of("cannot create 'a/b': invalid property 'x'"), EINVAL);
  EXPECT_EQ(errno_of("cannot create 'a/b': permission denied"), EPERM);
  EXPECT_EQ(to_error("x", "cannot create 'a/b': permission denied", 1).code(),
            Errc::PermissionDenied);
  EXPECT_EQ(to_error("x", "The ZFS modules are not loaded.", 1).code(), Errc::RuntimeNotAvailable);
}

TEST(ZfsError, is_one_printable_line_of_bounded_length) {
  std::string words = "cannot destroy 'a': filesystem has children\n";
  for (int i = 0; i < 1000; ++i) words += "tank/a\x1b[1m\t\xc3\xa4/" + std::to_string(i) + "\n";
  const std::string message = to_error("x", words, 1).message();
  EXPECT_LT(message.size(), 700u);
  EXPECT_EQ(message.find_first_of("\n\t\x1b\xc3"), std::string::npos);
  EXPECT_THAT(to_error("x", "invalid option 'q'\nusage:\n\tdestroy ...\n", 2).message(),
              AllOf(HasSubstr("invalid option 'q'"), Not(HasSubstr("usage"))));
  EXPECT_THAT(to_error("x", "", 3).message(), "x: exit status 3");
}

TEST(ZfsError, of_other_folders_is_no_failure_of_zfs) {
  EXPECT_EQ(failure_of(Error::from_errno(Errc::FileError, ENOENT, "open x")), Failure::other);
  EXPECT_EQ(failure_of(Error(Errc::ConfigError, "x")), Failure::other);
  EXPECT_EQ(failure_of(Error(Errc::Timeout, "x")), Failure::other);
}

}  // namespace
}  // namespace nexcage::storage::zfs
