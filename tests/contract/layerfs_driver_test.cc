// What every LayerFS driver must do, run over each one this build has.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "layer_scratch.h"
#include "nexcage/image/inflated.h"
#include "nexcage/json/value.h"
#include "nexcage/layerfs/convert/convert.h"
#include "nexcage/layerfs/converter.h"
#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/layerfs/garbage.h"
#include "nexcage/layerfs/hasher.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/layerfs/unpack/unpack_layer.h"
#include "nexcage/layerfs/unpacker.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "oci_layout.h"
#include "result_matchers.h"
#include "tar_writer.h"
#include "tree_compare.h"

namespace nexcage::layerfs {
namespace {

namespace fs = std::filesystem;
using ::nexcage::testing::LayerScratch;
using ::nexcage::testing::OciLayout;
using ::nexcage::testing::read_tree;
using ::nexcage::testing::TarMember;
using ::nexcage::testing::TarWriter;
using ::nexcage::testing::Tree;
using ::testing::HasSubstr;

/// A driver, and for erofs the form of what it prepares.
struct Way {
  std::string driver;
  std::optional<ConvertForm> form{};
  std::string name() const { return form ? driver + "_" + std::string(form_name(*form)) : driver; }
};
std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.name(); }

const Way kWays[] = {{"erofs", ConvertForm::merged},
                     {"erofs", ConvertForm::index},
                     {"erofs", ConvertForm::full},
                     {"overlay"},
                     {"copy"}};

/// Called after each layer that is unpacked or inflated.
using OnLayer = std::function<void()>;

class LayerfsDriver : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    NX_NEEDS_ROOT();
    layout_ = std::make_unique<OciLayout>(scratch_ / "images");
    auto store = image::Store::open(scratch_ / "images", image::Store::IfMissing::fail);
    ASSERT_OK(store);
    store_ = std::make_unique<image::Store>(std::move(*store));
    driver_ = open_driver(options([this] { ++unpacked_; }));
  }
  void TearDown() override {
    for (const MountRecord& record : mounted_) EXPECT_OK(driver_->unmount(record));
  }

  /// The work is done in this process.
  Options options(const OnLayer& on_layer) const {
    return {.root = scratch_ / "layers",
            .driver = GetParam().driver,
            .unpack =
                [on_layer](const UnpackJob& job) {
                  auto result = unpack::unpack_layer(job);
                  on_layer();
                  return result;
                },
            .convert =
                [on_layer](const ConvertJob& job) {
                  auto result = convert::convert(job);
                  for (const ConvertJob::LayerIn& layer : job.layers)
                    if (!layer.tar_is_there) on_layer();
                  return result;
                },
            .hash = helper_hasher(NEXCAGE_TEST_LIBEXEC),
            .form = GetParam().form};
  }
  static std::unique_ptr<Driver> open_driver(const Options& options) {
    auto driver = layerfs::open(options);
    EXPECT_OK(driver);
    return driver ? std::move(*driver) : nullptr;
  }
  std::string temporaries() const { return scratch_ / ("layers/" + GetParam().driver + "/.tmp"); }
  bool keeps_tars() const { return GetParam().form != ConvertForm::full; }
  std::size_t count_of_layers() {
    std::size_t count = 0;
    const auto all = driver_->list();
    EXPECT_OK(all);
    if (all)
      for (const Prepared& one : *all) count += one.kind == "tar" || one.kind == "tree" ? 1 : 0;
    return count;
  }

  PreparedStack prepare(const image::Image& image) {
    auto stack = driver_->prepare(*store_, image);
    EXPECT_OK(stack);
    return stack ? *stack : PreparedStack{};
  }
  MountPoint place(const std::string& name) {
    MountPoint at{.target = scratch_ / (name + "-target"), .upper = scratch_ / (name + "-upper")};
    fs::create_directories(at.target);
    fs::create_directories(at.upper);
    return at;
  }
  /// Mounts and returns the path of the merged tree.
  std::string mount(const PreparedStack& stack, const std::string& name,
                    Access access = Access::read_write) {
    const MountPoint at = place(name);
    const auto record = driver_->mount(stack, at, {.access = access});
    EXPECT_OK(record);
    if (record) mounted_.push_back(*record);
    return at.target;
  }
  static std::string text(const std::string& path) {
    return sys::read_file(AT_FDCWD, path).value_or("(unreadable)");
  }
  static std::set<std::string> names_in(const std::string& path) {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(path)) names.insert(entry.path().filename());
    return names;
  }
  static std::string tar_of(const std::string& name, const std::string& content) {
    return TarWriter().file(name, content).finish();
  }
  /// What `keep` does not need and no mount uses, as `layer gc` finds it; removed unless `dry_run`.
  Result<Freed> collect(const std::vector<Layer>& keep, bool dry_run) {
    Inventory inventory;
    inventory.add_image("kept", keep);
    NX_TRY(const auto things, driver_->list());
    inventory.add_driver(GetParam().driver, things);
    inventory.finish();
    if (dry_run) return find_garbage(inventory);
    return remove_things(inventory, inventory.garbage(), std::span(&driver_, 1));
  }
  std::set<std::string> named(const std::vector<std::string>& keys) {
    std::set<std::string> names;
    for (const std::string& key : keys) names.insert(GetParam().driver + "/" + key);
    return names;
  }
  std::set<std::string> prepared_keys() {
    std::set<std::string> keys;
    const auto all = driver_->list();
    EXPECT_OK(all);
    if (all)
      for (const Prepared& one : *all) keys.insert(one.key);
    return keys;
  }

  LayerScratch scratch_;
  std::unique_ptr<OciLayout> layout_;
  std::unique_ptr<image::Store> store_;
  std::unique_ptr<Driver> driver_;
  std::vector<MountRecord> mounted_;
  int unpacked_ = 0;
};

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

/// What only driver erofs has.
class ErofsDriver : public LayerfsDriver {
 protected:
  /// Says what the probe found, as if it had.
  void pretend(bool loops, bool small_blocks) {
    const std::string file = scratch_ / "layers/erofs/.probe.json";
    auto value = json::parse(text(file));
    ASSERT_OK(value);
    value->if_object()->set("loops", loops);
    value->if_object()->set("small_blocks", small_blocks);
    ASSERT_OK(sys::write_file_atomic(file, json::dump(*value), 0600, sys::Durable::no));
  }
  std::size_t shared_mounts() const {
    const auto table = sys::read_mountinfo();
    EXPECT_OK(table);
    if (!table) return 0;
    return static_cast<std::size_t>(std::ranges::count_if(*table, [&](const sys::MountInfo& one) {
      return one.mount_point.starts_with(scratch_ / "layers/erofs/.mounts/");
    }));
  }
};

TEST_P(ErofsDriver, LoopDevicesServeOlderKernelsAndGo) {
  TarWriter below, above;
  below.file("f", "below").file("g", std::string(100'000, 'g'));
  above.file("f", "above");
  const image::Image image = layout_->add("a", {below.finish(), above.finish()});
  pretend(true, GetParam().form != ConvertForm::full);
  const PreparedStack stack = prepare(image);
  const MountPoint at = place("m");
  const auto record = driver_->mount(stack, at, {});
  if (!record && record.error().code() == Errc::Unsupported)
    GTEST_SKIP() << "no loop devices: " << record.error().message();
  ASSERT_OK(record);
  EXPECT_THAT(record->method, HasSubstr("loop devices"));
  EXPECT_EQ(text(at.target + "/f"), "above");
  EXPECT_EQ(text(at.target + "/g"), std::string(100'000, 'g'));
  EXPECT_OK(driver_->unmount(*record));
}

TEST_P(ErofsDriver, OldKernelsGetTheDataInTheImage) {
  pretend(false, false);
  if (GetParam().form != ConvertForm::full)
    EXPECT_ERROR(driver_->prepare(*store_, layout_->add("a", {tar_of("f", "x")})),
                 Errc::Unsupported, HasSubstr("512"));
  Options any = options([] {});
  any.form.reset();
  driver_ = open_driver(any);
  const PreparedStack stack = prepare(layout_->add("b", {tar_of("f", "y")}));
  ASSERT_EQ(stack.keys.size(), 1u);
  EXPECT_EQ(stack.keys[0].substr(0, 2), "f-");
  EXPECT_EQ(text(mount(stack, "b") + "/f"), "y");
}

TEST_P(ErofsDriver, LastMountTakesTheSharedOneAlong) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x"), tar_of("g", "y")}));
  const std::size_t each = GetParam().form == ConvertForm::index ? 2 : 1;
  const MountPoint one = place("one"), two = place("two");
  const auto first = driver_->mount(stack, one, {}), second = driver_->mount(stack, two, {});
  ASSERT_OK(first);
  ASSERT_OK(second);
  EXPECT_EQ(shared_mounts(), each);
  EXPECT_OK(driver_->unmount(*first));
  EXPECT_EQ(shared_mounts(), each);
  EXPECT_OK(driver_->unmount(*second));
  EXPECT_EQ(shared_mounts(), 0u);
  EXPECT_THAT(names_in(scratch_ / "layers/erofs/.refs"), ::testing::IsEmpty());
  EXPECT_EQ(names_in(scratch_ / "layers/erofs/.mounts"), std::set<std::string>{});
}

TEST_P(ErofsDriver, ImagesDoNotWaitForEachOther) {
  const PreparedStack one = prepare(layout_->add("a", {tar_of("f", "x")}));
  const PreparedStack other = prepare(layout_->add("b", {tar_of("f", "y")}));
  const std::string mounts = scratch_ / "layers/erofs/.mounts";
  mount(one, "first");
  ASSERT_EQ(names_in(mounts).size(), 1u);
  const auto dir = sys::open_at(AT_FDCWD, mounts, O_RDONLY | O_DIRECTORY);
  ASSERT_OK(dir);
  // Somebody is busy with the mounts of the first image.
  const auto held =
      sys::FileLock::acquire(dir->get(), *names_in(mounts).begin(), sys::FileLock::Kind::exclusive,
                             1000, sys::FileLock::On::directory);
  ASSERT_OK(held);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(text(mount(other, "second") + "/f"), "y");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
}

TEST_P(ErofsDriver, WhatACrashLeftAttachedGoesWithTheNextRemoval) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x")}));
  const MountPoint at = place("m");
  ASSERT_OK(driver_->mount(stack, at, {}));
  ASSERT_OK(sys::unmount(at.target));  // and nobody tells the driver
  EXPECT_GT(shared_mounts(), 0u);
  ASSERT_OK(collect({}, false));
  EXPECT_EQ(shared_mounts(), 0u);
  EXPECT_THAT(prepared_keys(), ::testing::IsEmpty());
}

TEST_P(ErofsDriver, VerifyFindsAChangedByte) {
  const PreparedStack stack = prepare(layout_->add("a", {tar_of("f", "x")}));
  for (const Result<>& result : driver_->verify(stack.keys)) EXPECT_OK(result);
  scratch_.allow_removal();
  const std::string key = stack.keys.back();
  const std::string file =
      scratch_ / ("layers/erofs/" + key + (key.starts_with("t-") ? "/tar" : "/index"));
  std::string bytes = text(file);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(file, std::ios::binary) << bytes;
  const auto results = driver_->verify(stack.keys);
  EXPECT_ERROR(results.back(), Errc::LayerError, HasSubstr(key));
}

const Way kErofsWays[] = {
    {"erofs", ConvertForm::merged}, {"erofs", ConvertForm::index}, {"erofs", ConvertForm::full}};

std::string name_of(const ::testing::TestParamInfo<Way>& info) { return info.param.name(); }
INSTANTIATE_TEST_SUITE_P(Drivers, LayerfsDriver, ::testing::ValuesIn(kWays), name_of);
INSTANTIATE_TEST_SUITE_P(Drivers, ErofsDriver, ::testing::ValuesIn(kErofsWays), name_of);
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
