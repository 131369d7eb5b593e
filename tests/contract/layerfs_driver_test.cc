// What every LayerFS driver must do, run over each one this build has.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iterator>

#include "layerfs_driver_fixture.h"
#include "nexcage/image/inflated.h"
#include "nexcage/layerfs/converter.h"
#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/layerfs/unpacker.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs {
namespace {

const Way kWays[] = {{"erofs", ConvertForm::merged},
                     {"erofs", ConvertForm::index},
                     {"erofs", ConvertForm::full},
                     {"overlay"},
                     {"copy"}};

TEST_P(LayerfsDriver, MountsTheMergedTree) {
  TarWriter below, above;
  below.directory("d").file("d/gone", "1").file("d/kept", "2").file("replaced", "3");
  above.file("d/.wh.gone", "").file("replaced", "4").file("d/new", "5");
  const std::string root = mount(prepare(layout_->add("a", {below.finish(), above.finish()})), "a");
  EXPECT_EQ(names_in(root), (std::set<std::string>{"d", "replaced"}));
  EXPECT_EQ(names_in(root + "/d"), (std::set<std::string>{"kept", "new"}));
  EXPECT_EQ(text(root + "/d/kept") + text(root + "/replaced") + text(root + "/d/new"), "245");
}

TEST_P(LayerfsDriver, PreparesOnce) {
  const image::Image image = layout_->add("a", {tar_of("x", "1"), tar_of("y", "2")});
  const PreparedStack first = prepare(image), second = prepare(image);
  EXPECT_EQ(unpacked_, 2);
  EXPECT_EQ(first.keys, second.keys);
  EXPECT_EQ(first.driver, GetParam().driver);
  EXPECT_EQ(first.layers.size(), 2u);
}

TEST_P(LayerfsDriver, StoresEqualLayersOnce) {
  const std::string shared = TarWriter().directory("s").file("s/f", "shared").finish();
  const PreparedStack one = prepare(layout_->add("a", {shared, tar_of("x", "1")}));
  const PreparedStack two = prepare(layout_->add("b", {tar_of("y", "2"), shared, shared}));
  EXPECT_EQ(count_of_layers(), keeps_tars() ? 3u : 0u);
  EXPECT_EQ(text(mount(one, "a") + "/s/f"), "shared");
  EXPECT_EQ(text(mount(two, "b") + "/s/f"), "shared");
}

TEST_P(LayerfsDriver, AnEqualLayerBelowAnotherIsPreparedInOneGo) {
  const std::string shared = TarWriter().directory("s").file("s/f", "shared").finish();
  const std::string root =
      mount(prepare(layout_->add("a", {shared, shared, tar_of("s/x", "1"), shared})), "a");
  EXPECT_EQ(names_in(root + "/s"), (std::set<std::string>{"f", "x"}));
  EXPECT_EQ(text(root + "/s/f") + text(root + "/s/x"), "shared1");
}

TEST_P(LayerfsDriver, LayerThatNeedsTheOnesBelowIsNotSharedWithOtherStacks) {
  const std::string top = tar_of("d/f", "x");  // d has no member here
  TarWriter open_d, closed_d;
  open_d.directory("d", 0777);
  closed_d.directory("d", 0700);
  const std::string one = mount(prepare(layout_->add("a", {open_d.finish(), top})), "a");
  const std::string two = mount(prepare(layout_->add("b", {closed_d.finish(), top})), "b");
  struct stat info{};
  ASSERT_EQ(stat((one + "/d").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0777u);
  ASSERT_EQ(stat((two + "/d").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
}

TEST_P(LayerfsDriver, CorruptLayerIsInvalidImageAndLeavesNothing) {
  const image::Image image = layout_->add("a", {tar_of("x", "good"), tar_of("y", "data")});
  const std::string blob = layout_->root() + "/" + image.layers[1].blob.digest.blob_path();
  std::string bytes = text(blob);
  bytes[512] = 'X';
  std::ofstream(blob, std::ios::binary) << bytes;
  EXPECT_ERROR(driver_->prepare(*store_, image), Errc::InvalidImage,
               HasSubstr(image.layers[1].blob.digest.str()));
  EXPECT_THAT(prepared_keys(), ::testing::IsEmpty());
  EXPECT_THAT(names_in(temporaries()), ::testing::IsEmpty());
}

TEST_P(LayerfsDriver, LayersThatAreInflatedAlreadyAreTaken) {
  const std::string tar = tar_of("x", "from the inbox");
  const image::Image image = layout_->add("a", {tar, tar_of("y", "2"), tar});
  const auto inbox = driver_->open_inbox();
  ASSERT_OK(inbox);
  const bool wants_tars = GetParam().driver == "erofs" && keeps_tars();
  ASSERT_EQ(!inbox->empty(), wants_tars);
  if (!wants_tars) return;
  EXPECT_EQ(*driver_->open_inbox(), *inbox);
  std::ofstream(*inbox + "/" + image::inflated_name(image.layers[0].diff_id)) << tar;
  std::ofstream(*inbox + "/" + image::inflated_name(image.manifest.config.digest)) << "unasked";
  const std::string root = mount(prepare(image), "a");
  EXPECT_EQ(text(root + "/x") + text(root + "/y"), "from the inbox2");
  EXPECT_EQ(unpacked_, 1) << "the other layer";
  driver_.reset();
  EXPECT_THAT(names_in(temporaries()), ::testing::IsEmpty());
  driver_ = open_driver(options([] {}));
}

TEST_P(LayerfsDriver, ProcessKilledWhileUnpackingLeavesNothingThatCounts) {
  const image::Image image = layout_->add("a", {tar_of("x", "1"), tar_of("y", "2")});
  const pid_t pid = fork();
  if (pid == 0) {
    int calls = 0;
    auto dying = layerfs::open(options([&] {
      if (++calls == 2) (void)raise(SIGKILL);
    }));
    if (dying) (void)(*dying)->prepare(*store_, image);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(prepared_keys(), ::testing::IsEmpty());
  // Another image first: it cleans up what it does not need itself.
  prepare(layout_->add("b", {tar_of("z", "3")}));
  EXPECT_THAT(names_in(temporaries()), ::testing::IsEmpty());
  const std::string root = mount(prepare(image), "a");
  EXPECT_EQ(text(root + "/x") + text(root + "/y"), "12");
}

TEST_P(LayerfsDriver, TwoProcessesPrepareALayerOnce) {
  // In opposite orders, so that waiting for each other in a circle would show.
  const std::string x = tar_of("x", "1"), y = tar_of("y", "2");
  const image::Image one = layout_->add("a", {x, y}), two = layout_->add("b", {x, y, x});
  std::vector<pid_t> children;
  const std::string counter = scratch_ / "count";
  for (int i = 0; i < 4; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      auto driver = layerfs::open(options([&] {
        std::ofstream(counter, std::ios::app) << 'u' << std::flush;
        usleep(50'000);
      }));
      if (!driver) _exit(1);
      const auto stack = (*driver)->prepare(*store_, i % 2 == 0 ? one : two);
      if (!stack) std::cerr << stack.error().message() << '\n';
      _exit(stack ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(text(counter), keeps_tars() ? "uu" : "uuuuu");
}

TEST_P(LayerfsDriver, WritesGoToTheUpperOnly) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "layer")}));
  const std::string one = mount(stack, "one");
  std::ofstream(one + "/f") << "changed";
  std::ofstream(one + "/g") << "made";
  const std::string two = mount(stack, "two");
  EXPECT_EQ(text(two + "/f"), "layer");
  EXPECT_FALSE(fs::exists(two + "/g"));
}

TEST_P(LayerfsDriver, ReadOnlyMountRefusesWrites) {
  const std::string root =
      mount(prepare(layout_->add("a", {tar_of("f", "x")})), "a", Access::read_only);
  EXPECT_EQ(text(root + "/f"), "x");
  EXPECT_EQ(::open((root + "/g").c_str(), O_CREAT | O_WRONLY, 0644), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_P(LayerfsDriver, ImageWithoutLayersIsAnEmptyTree) {
  const PreparedStack stack = prepare(layout_->add("a", {}));
  EXPECT_THAT(names_in(mount(stack, "rw")), ::testing::IsEmpty());
  EXPECT_THAT(names_in(mount(stack, "ro", Access::read_only)), ::testing::IsEmpty());
}

TEST_P(LayerfsDriver, RootIsAsTheTopMostLayerThatDescribesItSays) {
  TarWriter below;
  below.add({.name = "./", .type = TarMember::kDirectory, .mode = 0710, .uid = 3, .gid = 4});
  const PreparedStack stack = prepare(layout_->add("a", {below.finish(), tar_of("f", "x")}));
  for (const Access access : {Access::read_write, Access::read_only}) {
    struct stat info{};
    const std::string root = mount(stack, access == Access::read_only ? "ro" : "rw", access);
    ASSERT_EQ(stat(root.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0710u);
    EXPECT_EQ(info.st_uid, 3u);
    EXPECT_EQ(info.st_gid, 4u);
    EXPECT_EQ(info.st_mtim.tv_sec, 1'000'000'000);
  }
}

TEST_P(LayerfsDriver, OpaqueRootHidesAllBelow) {
  TarWriter top;
  top.file(".wh..wh..opq", "").file("new", "1");
  const std::string root = mount(
      prepare(layout_->add("a", {tar_of("old", "0"), top.finish(), tar_of("later", "2")})), "a");
  EXPECT_EQ(names_in(root), (std::set<std::string>{"new", "later"}));
}

TEST_P(LayerfsDriver, OpaqueRootKeepsTheRootsOwnMetadata) {
  TarWriter below;
  below.directory("./", 0711);
  const std::string top = TarWriter().file(".wh..wh..opq", "").finish();
  const std::string root = mount(prepare(layout_->add("a", {below.finish(), top})), "a");
  struct stat info{};
  ASSERT_EQ(stat(root.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0711u);
}

TEST_P(LayerfsDriver, WhiteoutOfNothingIsNotListed) {
  TarWriter tar;
  tar.directory("d").file("d/.wh.nothing", "").file(".wh.none", "");
  const PreparedStack stack = prepare(layout_->add("a", {tar.finish()}));
  for (const Access access : {Access::read_write, Access::read_only}) {
    const std::string root = mount(stack, access == Access::read_only ? "ro" : "rw", access);
    EXPECT_EQ(names_in(root), (std::set<std::string>{"d"}));
    EXPECT_THAT(names_in(root + "/d"), ::testing::IsEmpty());
  }
}

TEST_P(LayerfsDriver, DirectoriesOfTheImageCanBeRenamed) {
  TarWriter tar;
  tar.directory("d").file("d/f", "x");
  const std::string root = mount(prepare(layout_->add("a", {tar.finish()})), "a");
  ASSERT_EQ(rename((root + "/d").c_str(), (root + "/e").c_str()), 0) << strerror(errno);
  EXPECT_EQ(text(root + "/e/f"), "x");
}

class ManyLayers : public LayerfsDriver {
 protected:
  void expect_all(int count) {
    std::vector<std::string> tars;
    tars.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
      tars.push_back(TarWriter()
                         .file("n" + std::to_string(i), std::to_string(i))
                         .file("top", std::to_string(i))
                         .finish());
    const PreparedStack stack = prepare(layout_->add("a", tars));
    const std::string root = mount(stack, "a");
    EXPECT_EQ(names_in(root).size(), static_cast<std::size_t>(count) + 1);
    EXPECT_EQ(text(root + "/top"), std::to_string(count - 1));
    EXPECT_EQ(text(root + "/n0"), "0");
  }
};

TEST_P(ManyLayers, HundredAndTwentySevenMount) { expect_all(127); }

using FiveHundredLayers = ManyLayers;
TEST_P(FiveHundredLayers, Mount) { expect_all(500); }

TEST_P(LayerfsDriver, UnmountLeavesWhatWasWritten) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x")}));
  const MountPoint at = place("m");
  EXPECT_OK(driver_->unmount(driver_->plan(stack, at)));
  const auto record = driver_->mount(stack, at, {});
  ASSERT_OK(record);
  EXPECT_EQ(record->driver, GetParam().driver);
  std::ofstream(at.target + "/new") << "x";
  // Another process, which knows only what was kept of the mount, undoes it.
  const auto kept = mount_record_from_json(to_json(*record));
  ASSERT_OK(kept);
  ASSERT_OK(undo_mount(scratch_ / "layers", *kept));
  EXPECT_THAT(names_in(at.target), ::testing::IsEmpty());
  EXPECT_THAT(names_in(at.upper), ::testing::Not(::testing::IsEmpty()));
  EXPECT_OK(driver_->unmount(*record));
  ASSERT_OK(remove_upper(at));
  EXPECT_THAT(names_in(at.upper), ::testing::IsEmpty());
}

TEST_P(LayerfsDriver, KeptStorageIsMountedAgainWithWhatWasWritten) {
  const PreparedStack stack = prepare(
      layout_->add("a", {TarWriter().file("f", "x").file("gone", "y").file("d/g", "z").finish()}));
  const MountPoint at = place("m");
  for (int round = 0; round < 3; ++round) {
    const bool kept = round > 0;
    const auto record =
        driver_->mount(stack, at, {.storage = kept ? Storage::kept : Storage::fresh});
    ASSERT_OK(record);
    EXPECT_EQ(text(at.target + "/d/g"), "z");
    EXPECT_EQ(fs::exists(at.target + "/gone"), !kept);
    EXPECT_EQ(text(at.target + "/f"), kept ? "round " + std::to_string(round - 1) : "x");
    if (kept) {
      EXPECT_EQ(text(at.target + "/moved/new"), "by the container");
    }
    std::ofstream(at.target + "/f") << "round " << round;
    fs::remove(at.target + "/gone");
    if (!kept) {
      fs::create_directory(at.target + "/made");
      std::ofstream(at.target + "/made/new") << "by the container";
      fs::rename(at.target + "/made", at.target + "/moved");
    }
    ASSERT_OK(driver_->unmount(*record));
  }
}

TEST_P(LayerfsDriver, FailedMountOfKeptStorageLosesNothing) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x")}));
  MountPoint at = place("m");
  const auto record = driver_->mount(stack, at, {});
  ASSERT_OK(record);
  std::ofstream(at.target + "/new") << "precious";
  ASSERT_OK(driver_->unmount(*record));
  MountPoint wrong = at;
  wrong.target += "/missing";
  EXPECT_FALSE(driver_->mount(stack, wrong, {.storage = Storage::kept}));
  const auto again = driver_->mount(stack, at, {.storage = Storage::kept});
  ASSERT_OK(again);
  EXPECT_EQ(text(at.target + "/new"), "precious");
  ASSERT_OK(driver_->unmount(*again));
}

TEST_P(LayerfsDriver, KeptStorageThatIsNotThereIsAnError) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x")}));
  EXPECT_FALSE(driver_->mount(stack, place("m"), {.storage = Storage::kept}));
}

TEST_P(LayerfsDriver, StorageInMemoryIsNewEachTime) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x")}));
  const MountPoint at = place("m");
  for (const Storage storage : {Storage::fresh, Storage::kept}) {
    const auto record = driver_->mount(stack, at, {.storage = storage, .tmpfs_upper = 1U << 20});
    ASSERT_OK(record);
    EXPECT_EQ(names_in(at.target), std::set<std::string>{"f"});
    std::ofstream(at.target + "/new") << "x";
    ASSERT_OK(driver_->unmount(*record));
  }
}

TEST_P(LayerfsDriver, FailedMountLeavesNothing) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x")}));
  MountPoint at = place("m");
  at.target += "/missing";
  EXPECT_FALSE(driver_->mount(stack, at, {}));
  EXPECT_THAT(names_in(at.upper), ::testing::IsEmpty());
  const auto freed = collect({}, false);
  ASSERT_OK(freed);
  EXPECT_EQ(std::set(freed->keys.begin(), freed->keys.end()), named(stack.keys));
}

TEST_P(LayerfsDriver, CollectKeepsWhatIsWantedAndWhatIsMounted) {
  const PreparedStack wanted = prepare(layout_->add("a", {tar_of("x", "1")}));
  const PreparedStack used = prepare(layout_->add("b", {tar_of("y", "2")}));
  const PreparedStack unused = prepare(layout_->add("c", {tar_of("z", "333")}));
  const MountPoint at = place("used");
  const auto record = driver_->mount(used, at, {});
  ASSERT_OK(record);
  const bool in_use = GetParam().driver != "copy";  // a copy needs its layers no more

  std::vector<std::string> free = unused.keys, left = wanted.keys;
  std::ranges::copy(used.keys, std::back_inserter(in_use ? left : free));
  const auto dry = collect(wanted.layers, true);
  ASSERT_OK(dry);
  EXPECT_EQ(std::set(dry->keys.begin(), dry->keys.end()), named(free));
  EXPECT_GE(dry->bytes, 3u);
  EXPECT_EQ(prepared_keys().size(), 3 * unused.keys.size());

  const auto freed = collect(wanted.layers, false);
  ASSERT_OK(freed);
  EXPECT_EQ(std::set(freed->keys.begin(), freed->keys.end()), named(free));
  EXPECT_EQ(prepared_keys(), std::set(left.begin(), left.end()));
  EXPECT_EQ(text(at.target + "/y"), "2");

  ASSERT_OK(driver_->unmount(*record));
  const auto after = collect(wanted.layers, false);
  ASSERT_OK(after);
  EXPECT_EQ(std::set(after->keys.begin(), after->keys.end()),
            in_use ? named(used.keys) : std::set<std::string>());
  prepare(layout_->add("c2", {tar_of("z", "333")}));
  EXPECT_EQ(unpacked_, 4) << "what was collected is made again";
}

TEST_P(LayerfsDriver, MountThatWentWithoutUnmountIsNotInUse) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("x", "1")}));
  const MountPoint at = place("m");
  ASSERT_OK(driver_->mount(stack, at, {}));
  ASSERT_OK(sys::unmount(at.target));
  const auto freed = collect({}, false);
  ASSERT_OK(freed);
  EXPECT_EQ(std::set(freed->keys.begin(), freed->keys.end()), named(stack.keys));
}

TEST_P(LayerfsDriver, HelperProcessUnpacks) {
  Options by_helper = options([] {});
  by_helper.unpack = helper_unpacker(NEXCAGE_TEST_LIBEXEC);
  by_helper.convert = helper_converter(NEXCAGE_TEST_LIBEXEC);
  driver_ = open_driver(by_helper);
  TarWriter tar;
  tar.add({.name = "d",
           .type = TarMember::kDirectory,
           .mode = 01770,
           .uid = 12,
           .xattrs = {{"user.k", "v"}}})
      .add({.name = "d/null",
            .type = TarMember::kCharDevice,
            .mode = 0666,
            .dev_major = 1,
            .dev_minor = 3})
      .add({.name = "d/f", .mode = 04755, .uid = 13, .data = "x"})
      .hard_link("h", "d/f");
  TarWriter top;
  top.hard_link("g", "d/f").file("d/.wh.null", "").file("d/.wh..wh..opq", "");
  const PreparedStack stack = prepare(layout_->add("a", {tar.finish(), top.finish()}));
  Tree tree = read_tree(mount(stack, "a"));
  EXPECT_EQ(tree["d"]["mode"], "41770");
  EXPECT_EQ(tree["d"]["xattrs"], "user.k=v;");
  EXPECT_EQ(tree["g"]["mode"], "104755");
  EXPECT_EQ(tree["g"]["owner"], "13:0");
  EXPECT_FALSE(tree.contains("d/null"));

  const image::Image bad =
      layout_->add("bad", {TarWriter().hard_link("h", "/etc/passwd").finish()});
  EXPECT_ERROR(driver_->prepare(*store_, bad), Errc::InvalidImage, HasSubstr("does not exist"));
}

INSTANTIATE_TEST_SUITE_P(Drivers, LayerfsDriver, ::testing::ValuesIn(kWays), name_of);
// As many as overlayfs takes, and as one index joins.
INSTANTIATE_TEST_SUITE_P(Drivers, FiveHundredLayers, ::testing::Values(kWays[0], kWays[3]),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Drivers, ManyLayers, ::testing::ValuesIn(kWays), name_of);

TEST(LayerfsOpen, NamesTheDriversItKnows) {
  EXPECT_ERROR(layerfs::open({.root = "/nonexistent", .driver = "overlai", .unpack = {}}),
               Errc::ConfigError, HasSubstr("overlai"));
  EXPECT_ERROR(layerfs::open({.root = "/nonexistent", .driver = "zfs", .unpack = {}}),
               Errc::ConfigError, HasSubstr("dataset"));
  EXPECT_ERROR(layerfs::open({.root = "/nonexistent", .driver = "raw", .unpack = {}}),
               Errc::ConfigError, HasSubstr("raw is no LayerFS driver"));
}

}  // namespace
}  // namespace nexcage::layerfs
