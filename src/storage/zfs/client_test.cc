// What the client makes of answers of zfs 2.1.11, replayed by a script in the place of the program,
// and the arguments that it gives. The program itself: tests/vm/guest/test_zfs_client.py.
#include "nexcage/storage/zfs/client.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::storage::zfs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

/// Notes its arguments and its environment, copies its input, and answers call by call.
constexpr const char* kScript = R"sh(#!/bin/sh
cd "$(dirname "$0")" || exit 99
echo "$@" >>calls
env | sort >environment
cat >input
n=$(wc -l <calls)
[ -e "out.$n" ] || exit 98
cat "out.$n"
cat "err.$n" >&2
exit "$(cat "status.$n")"
)sh";

class ZfsClient : public ::testing::Test {
 protected:
  void SetUp() override {
    scratch_ = std::make_unique<sys::TempDir>(sys::TempDir::create(scratch_parent(), "z").value());
    file("program", kScript, 0755);
  }

  void file(const std::string& name, std::string_view text, mode_t mode = 0644) const {
    ASSERT_OK(sys::write_file_atomic(scratch_->fd(), name, text, mode, sys::Durable::no));
  }
  std::string content(const std::string& name) const {
    return sys::read_file(scratch_->fd(), name).value_or("");
  }

  /// The program's next answer.
  void says(std::string_view out, std::string_view err = "", int status = 0) {
    const std::string n = std::to_string(++answers_);
    file("out." + n, out);
    file("err." + n, err);
    file("status." + n, std::to_string(status));
  }
  void refuses(std::string_view words) { says("", words, 1); }

  std::vector<std::string> calls() const {
    std::string text = content("calls");
    if (!text.empty()) text.pop_back();
    return text.empty() ? std::vector<std::string>() : split(text, '\n');
  }

  Client client() const {
    const std::string program = scratch_->path() + "/program";
    return Client(Parent::parse("tank/cages").value(), {.zfs = program, .zpool = program});
  }
  static Dataset dataset(std::string_view path = "web1") {
    return Parent::parse("tank/cages")->child(path).value();
  }
  static Snapshot snapshot(std::string_view label = "s") {
    return dataset().snapshot(label).value();
  }

  std::unique_ptr<sys::TempDir> scratch_;
  int answers_ = 0;
};

TEST_F(ZfsClient, creates_a_dataset_with_its_properties_and_does_not_mount_it) {
  says("");
  ASSERT_OK(client().create(dataset(), {{"mountpoint", "legacy"}, {"org.nexcage:id", "web1"}},
                            Ancestors::make));
  EXPECT_THAT(calls(),
              ElementsAre("create -u -o mountpoint=legacy -o org.nexcage:id=web1 tank/cages/web1"));
}

TEST_F(ZfsClient, makes_the_ancestors_that_lack) {
  refuses("cannot create 'tank/cages/a/b/c': parent does not exist\n");
  refuses("cannot create 'tank/cages/a': dataset already exists\n");
  says("");
  says("");
  ASSERT_OK(client().create(dataset("a/b/c"), {{"quota", "1048576"}}, Ancestors::make));
  EXPECT_THAT(calls(), ElementsAre("create -u -o quota=1048576 tank/cages/a/b/c",
                                   "create -u -o mountpoint=none -o canmount=off tank/cages/a",
                                   "create -u -o mountpoint=none -o canmount=off tank/cages/a/b",
                                   "create -u -o quota=1048576 tank/cages/a/b/c"));
}

TEST_F(ZfsClient, says_that_a_dataset_exists_whatever_is_to_be_made) {
  refuses("cannot create 'tank/cages/web1': dataset already exists\n");
  auto made = client().create(dataset(), {}, Ancestors::make);
  EXPECT_ERROR(made, Errc::ZFSError,
               HasSubstr("create dataset tank/cages/web1: cannot create 'tank/cages/web1': dataset "
                         "already exists"));
  EXPECT_EQ(made.error().sys_errno(), EEXIST);
  EXPECT_EQ(calls().size(), 1u);
}

TEST_F(ZfsClient, makes_volumes_that_reserve_their_size_or_not) {
  says("");
  says("");
  ASSERT_OK(client().create_volume(dataset(), 8 << 20, Allocation::reserved, {}));
  ASSERT_OK(
      client().create_volume(dataset(), 8 << 20, Allocation::sparse, {{"volblocksize", "16384"}}));
  EXPECT_THAT(calls(), ElementsAre("create -V 8388608 tank/cages/web1",
                                   "create -V 8388608 -s -o volblocksize=16384 tank/cages/web1"));
}

TEST_F(ZfsClient, never_starts_the_program_for_what_lies_elsewhere) {
  for (const char* other : {"tank", "tank/cages2", "rpool"}) {
    SCOPED_TRACE(other);
    const Dataset outside = Parent::parse(other)->child("a").value();
    const Snapshot label = outside.snapshot("s").value();
    const auto matches = HasSubstr("does not lie below the configured dataset tank/cages");
    EXPECT_ERROR(client().create(outside, {}, Ancestors::make), Errc::ConfigError, matches);
    EXPECT_ERROR(client().create_volume(outside, 1, Allocation::sparse, {}), Errc::ConfigError,
                 matches);
    EXPECT_ERROR(client().snapshot(label), Errc::ConfigError, matches);
    EXPECT_ERROR(client().clone(label, dataset(), {}), Errc::ConfigError, matches);
    EXPECT_ERROR(client().clone(snapshot(), outside, {}), Errc::ConfigError, matches);
    EXPECT_ERROR(client().rollback(label, Newer::destroy), Errc::ConfigError, matches);
    EXPECT_ERROR(client().rename(outside, dataset()), Errc::ConfigError, matches);
    EXPECT_ERROR(client().rename(dataset(), outside), Errc::ConfigError, matches);
    EXPECT_ERROR(client().promote(outside), Errc::ConfigError, matches);
    EXPECT_ERROR(client().destroy(outside), Errc::ConfigError, matches);
    EXPECT_ERROR(client().destroy(label), Errc::ConfigError, matches);
    EXPECT_ERROR(client().destroy_snapshots(outside), Errc::ConfigError, matches);
    EXPECT_ERROR(client().set(outside, {{"quota", "1"}}), Errc::ConfigError, matches);
    EXPECT_ERROR(client().send(label, nullptr, 1), Errc::ConfigError, matches);
    const Snapshot inside = snapshot();
    EXPECT_ERROR(client().send(inside, &label, 1), Errc::ConfigError, matches);
    EXPECT_ERROR(client().receive(outside, 0), Errc::ConfigError, matches);
  }
  // A dataset may be the very parent of a client with a narrower one.
  const Client narrow(Parent::parse("tank/cages/web1").value(), {.zfs = "/nowhere"});
  EXPECT_ERROR(narrow.destroy(dataset()), Errc::ConfigError, HasSubstr("does not lie below"));
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(ZfsClient, never_starts_the_program_with_a_property_that_is_an_option) {
  const Properties bad = {{"-r", ""}};
  EXPECT_ERROR(client().create(dataset(), bad, Ancestors::make), Errc::InvalidSpec,
               HasSubstr("property"));
  EXPECT_ERROR(client().snapshot(snapshot(), bad), Errc::InvalidSpec, HasSubstr("property"));
  EXPECT_ERROR(client().clone(snapshot(), dataset("b"), bad), Errc::InvalidSpec,
               HasSubstr("property"));
  EXPECT_ERROR(client().set(dataset(), bad), Errc::InvalidSpec, HasSubstr("property"));
  EXPECT_ERROR(client().receive(dataset(), 0, bad), Errc::InvalidSpec, HasSubstr("property"));
  EXPECT_ERROR(client().property(dataset(), "-r"), Errc::InvalidSpec, HasSubstr("property"));
  EXPECT_ERROR(client().properties(dataset(), {"used", "a,b"}), Errc::InvalidSpec,
               HasSubstr("property"));
  EXPECT_THAT(calls(), IsEmpty());
}

TEST_F(ZfsClient, changes_what_it_is_told_and_nothing_recursively) {
  for (int i = 0; i < 10; ++i) says("");
  ASSERT_OK(client().snapshot(snapshot(), {{"org.nexcage:kind", "layer"}}));
  ASSERT_OK(client().clone(snapshot(), dataset("web2"), {{"mountpoint", "legacy"}}));
  ASSERT_OK(client().rollback(snapshot(), Newer::refuse));
  ASSERT_OK(client().rollback(snapshot(), Newer::destroy));
  ASSERT_OK(client().rename(dataset(), dataset("web2")));
  ASSERT_OK(client().destroy(dataset()));
  ASSERT_OK(client().destroy(snapshot()));
  ASSERT_OK(client().destroy_snapshots(dataset()));
  ASSERT_OK(client().set(dataset(), {{"quota", "0"}, {"readonly", "on"}}));
  ASSERT_OK(client().set(dataset(), {}));
  EXPECT_THAT(calls(),
              ElementsAre("snapshot -o org.nexcage:kind=layer tank/cages/web1@s",
                          "clone -o mountpoint=legacy tank/cages/web1@s tank/cages/web2",
                          "rollback tank/cages/web1@s", "rollback -r tank/cages/web1@s",
                          "rename tank/cages/web1 tank/cages/web2", "destroy tank/cages/web1",
                          "destroy tank/cages/web1@s", "destroy tank/cages/web1@%",
                          "set quota=0 readonly=on tank/cages/web1"));
}

TEST_F(ZfsClient, has_destroyed_what_is_not_there) {
  refuses("cannot open 'tank/cages/web1': dataset does not exist\n");
  refuses("could not find any snapshots to destroy; check snapshot names.\n");
  refuses("could not find any snapshots to destroy; check snapshot names.\n");
  EXPECT_OK(client().destroy(dataset()));
  EXPECT_OK(client().destroy(snapshot()));
  EXPECT_OK(client().destroy_snapshots(dataset()));
  EXPECT_EQ(calls().size(), 3u);
}

TEST_F(ZfsClient, tries_again_while_a_dataset_is_busy) {
  refuses("cannot destroy 'tank/cages/web1': dataset is busy\n");
  refuses("cannot destroy 'tank/cages/web1': dataset is busy\n");
  says("");
  EXPECT_OK(client().destroy(dataset(), std::chrono::minutes(1)));
  EXPECT_EQ(calls().size(), 3u);
  refuses("cannot destroy 'tank/cages/web1': dataset is busy\n");
  auto refused = client().destroy(dataset());
  EXPECT_ERROR(refused, Errc::ZFSError, HasSubstr("dataset is busy"));
  EXPECT_EQ(failure_of(refused.error()), Failure::busy);
  refuses(
      "cannot destroy 'tank/cages/web1': filesystem has children\n"
      "use '-r' to destroy the following datasets:\ntank/cages/web1@s\n");
  EXPECT_ERROR(client().destroy(dataset(), std::chrono::minutes(1)), Errc::ZFSError,
               HasSubstr("filesystem has children"));
  EXPECT_EQ(calls().size(), 5u);
}

TEST_F(ZfsClient, promotes_only_what_comes_from_inside) {
  says("origin\ttank/other@s\n");
  EXPECT_ERROR(client().promote(dataset()), Errc::ConfigError,
               AllOf(HasSubstr("promote dataset tank/cages/web1"), HasSubstr("outside")));
  says("origin\ttank/cages/image@s\n");
  says("");
  ASSERT_OK(client().promote(dataset()));
  says("origin\t-\n");
  refuses("cannot promote 'tank/cages/web1': not a cloned filesystem\n");
  EXPECT_ERROR(client().promote(dataset()), Errc::ZFSError, HasSubstr("not a cloned filesystem"));
  const std::string asks = "get -H -p -o property,value origin tank/cages/web1";
  const std::string promotes = "promote tank/cages/web1";
  EXPECT_THAT(calls(), ElementsAre(asks, asks, promotes, asks, promotes));
}

TEST_F(ZfsClient, has_a_clone_that_could_not_be_mounted) {
  refuses(
      "cannot mount 'tank/cages/web2': failed to create mountpoint: File exists\n"
      "filesystem successfully created, but not mounted\n");
  EXPECT_OK(client().clone(snapshot(), dataset("web2"), {}));
}

TEST_F(ZfsClient, knows_what_exists) {
  says("tank/cages/web1\n");
  refuses("cannot open 'tank/cages/web1': dataset does not exist\n");
  says("tank/cages/web1@s\n");
  refuses("cannot open 'tank/cages/web1@s': dataset does not exist\n");
  EXPECT_TRUE(client().exists(dataset()).value());
  EXPECT_FALSE(client().exists(dataset()).value());
  EXPECT_TRUE(client().exists(snapshot()).value());
  EXPECT_FALSE(client().exists(snapshot()).value());
  refuses("cannot open 'tank/cages/web1': I/O error\n");
  EXPECT_ERROR(client().exists(dataset()), Errc::ZFSError, HasSubstr("I/O error"));
  EXPECT_THAT(calls()[0], "list -H -o name -t filesystem,volume tank/cages/web1");
  EXPECT_THAT(calls()[2], "list -H -o name -t snapshot tank/cages/web1@s");
}

TEST_F(ZfsClient, reads_properties) {
  says("quota\t0\n");
  says("org.nexcage:id\t-\n");
  refuses("cannot open 'tank/cages/web1': dataset does not exist\n");
  EXPECT_EQ(client().property(dataset(), "quota").value(), "0");
  EXPECT_EQ(client().property(dataset(), "org.nexcage:id").value(), std::nullopt);
  EXPECT_EQ(client().property(dataset(), "quota").value(), std::nullopt);
  says("used\t24576\norigin\t-\n");
  EXPECT_THAT(client().properties(dataset(), {"used", "origin"}).value(),
              ElementsAre(Pair("used", "24576")));
  refuses("cannot open 'tank/cages/web1': dataset does not exist\n");
  EXPECT_ERROR(client().properties(dataset(), {"used"}), Errc::ZFSError,
               HasSubstr("does not exist"));
  EXPECT_THAT(client().properties(dataset(), {}).value(), IsEmpty());
  EXPECT_EQ(calls()[3], "get -H -p -o property,value used,origin tank/cages/web1");
}

TEST_F(ZfsClient, lists) {
  says("tank/cages/web1@s\t1700000000\t0\t24576\t1\n");
  EXPECT_THAT(client().snapshots(dataset()).value(),
              ElementsAre(SnapshotInfo{"s", 1700000000, 0, 24576, 1}));
  says(
      "tank/cages\tfilesystem\t1\t2\t3\tlegacy\t-\ntank/cages/a\tfilesystem\t1\t2\t3\tlegacy\t-\n");
  EXPECT_THAT(client().children(Depth::direct).value(),
              ElementsAre(DatasetInfo{"a", false, 1, 2, 3, "legacy", ""}));
  says("tank/cages/web1\tfilesystem\t1\t2\t3\tlegacy\t-\n");
  EXPECT_THAT(client().children(dataset(), Depth::all).value(), IsEmpty());
  says("tank\tONLINE\t234881024\t139264\t234741760\n");
  EXPECT_EQ(client().pool().value(), (PoolInfo{"tank", "ONLINE", 234881024, 139264, 234741760}));
  says("used\t1\navailable\t2\nquota\t0\n");
  EXPECT_EQ(client().space().value(), (Space{1, 2, 0}));
  EXPECT_THAT(
      calls(),
      ElementsAre("list -H -p -t snapshot -d 1 -s creation -s createtxg -o "
                  "name,creation,used,referenced,numclones tank/cages/web1",
                  "list -H -p -t filesystem,volume -o "
                  "name,type,used,available,referenced,mountpoint,origin -d 1 tank/cages",
                  "list -H -p -t filesystem,volume -o "
                  "name,type,used,available,referenced,mountpoint,origin -r tank/cages/web1",
                  "list -H -p -o name,health,size,allocated,free tank",
                  "get -H -p -o property,value used,available,quota tank/cages"));
}

TEST_F(ZfsClient, streams_through_the_descriptors_it_is_given) {
  file("stream", "a stream");
  const UniqueFd in = sys::open_at(scratch_->fd(), "stream", O_RDONLY).value();
  says("");
  ASSERT_OK(client().receive(dataset(), in.get(), {{"mountpoint", "legacy"}}));
  EXPECT_EQ(content("input"), "a stream");
  const UniqueFd out = sys::open_at(scratch_->fd(), "sent", O_WRONLY | O_CREAT, 0600).value();
  const Snapshot base = snapshot("base");
  says("the stream");
  says("");
  ASSERT_OK(client().send(snapshot(), nullptr, out.get()));
  EXPECT_EQ(content("sent"), "the stream");
  ASSERT_OK(client().send(snapshot(), &base, out.get()));
  EXPECT_THAT(calls(), ElementsAre("receive -u -o mountpoint=legacy tank/cages/web1",
                                   "send tank/cages/web1@s",
                                   "send -i tank/cages/web1@base tank/cages/web1@s"));
}

TEST_F(ZfsClient, gives_the_program_nothing_of_our_environment) {
  ::setenv("ZFS_COLOR", "1", 1);
  says("");
  ASSERT_OK(client().destroy(dataset()));
  ::unsetenv("ZFS_COLOR");
  EXPECT_THAT(content("environment"),
              AllOf(HasSubstr("LC_ALL=C\n"), testing::Not(HasSubstr("ZFS_COLOR")),
                    testing::Not(HasSubstr("HOME"))));
}

TEST_F(ZfsClient, probes_for_programs_module_and_parent) {
  says("type\tfilesystem\n");
  EXPECT_OK(client().probe());
  EXPECT_THAT(calls(), ElementsAre("get -H -p -o property,value type tank/cages"));
  says("type\tvolume\n");
  EXPECT_ERROR(client().probe(), Errc::ConfigError, HasSubstr("tank/cages is no file system"));
  refuses("cannot open 'tank/cages': dataset does not exist\n");
  auto missing = client().probe();
  EXPECT_ERROR(missing, Errc::ConfigError,
               HasSubstr("cannot open 'tank/cages': dataset does not exist"));
  EXPECT_THAT(missing.error().hint(), HasSubstr("zfs create tank/cages"));
  refuses(
      "The ZFS modules are not loaded.\nTry running '/sbin/modprobe zfs' as root to load them.\n");
  EXPECT_ERROR(client().probe(), Errc::RuntimeNotAvailable, HasSubstr("modules are not loaded"));
  refuses("Permission denied the ZFS utilities must be run as root.\n");
  EXPECT_ERROR(client().probe(), Errc::PermissionDenied, HasSubstr("must be run as root"));
  const std::string program = scratch_->path() + "/program";
  for (const Programs& programs :
       {Programs{"no-such-zfs", program}, Programs{program, "/no/such/zpool"}}) {
    auto none = Client(Parent::parse("tank").value(), programs).probe();
    EXPECT_ERROR(none, Errc::RuntimeNotAvailable, HasSubstr("no"));
    EXPECT_THAT(none.error().hint(), HasSubstr("zfsutils-linux"));
  }
}

TEST_F(ZfsClient, tells_how_a_program_without_words_ended) {
  says("", "", 1);
  EXPECT_ERROR(client().destroy(dataset()), Errc::ZFSError, HasSubstr("exit status 1"));
  file("program", "#!/bin/sh\nkill -ABRT $$\n", 0755);
  EXPECT_ERROR(client().destroy(dataset()), Errc::ZFSError, HasSubstr("exit status 134"));
}

}  // namespace
}  // namespace nexcage::storage::zfs
