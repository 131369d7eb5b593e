// Layers made to escape: whatever they say, nothing outside the layer's directory changes, and each
// is refused with a reason or contained as written here.
#include <sys/stat.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "layer_scratch.h"
#include "nexcage/layerfs/unpack/unpack_layer.h"
#include "result_matchers.h"
#include "tar_writer.h"
#include "tree_compare.h"

namespace nexcage::layerfs::unpack {
namespace {

using ::nexcage::testing::compare_trees;
using ::nexcage::testing::LayerScratch;
using ::nexcage::testing::read_tree;
using ::nexcage::testing::TarMember;
using ::nexcage::testing::TarWriter;
using ::nexcage::testing::Tree;
using ::testing::HasSubstr;

/// What the layer must end up with. Paths ending in "=TEXT" are files with this content.
struct Case {
  const char* name;
  /// Builds the tar; `outside` is the absolute path of the canary tree.
  std::function<void(TarWriter&, const std::string& outside)> build;
  const char* refused = nullptr;  // part of the message of InvalidImage; nullptr: contained
  std::vector<const char*> inside{};
  std::vector<const char*> absent{};
};

TarMember device(char type, std::uint64_t major_number, std::uint64_t minor_number) {
  return {.name = "dev0", .type = type, .dev_major = major_number, .dev_minor = minor_number};
}

std::ostream& operator<<(std::ostream& out, const Case& hostile) { return out << hostile.name; }

std::vector<Case> names() {
  return {
      {"absolute name", [](TarWriter& t, const std::string& o) { t.file(o + "/f", "x"); }},
      {"dot dot",
       [](TarWriter& t, auto&) { t.file("../canary/secret", "x"); },
       nullptr,
       {"canary/secret=x"}},
      {"many dot dots",
       [](TarWriter& t, auto&) { t.file("../../../../../../f", "x"); },
       nullptr,
       {"f=x"}},
      {"dot dot in the middle",
       [](TarWriter& t, auto&) { t.file("a/../../b", "x"); },
       nullptr,
       {"b=x"},
       {"a"}},
      {"only dot dot", [](TarWriter& t, auto&) { t.directory("..", 0777); }, nullptr, {"."}},
      {"only slashes", [](TarWriter& t, auto&) { t.directory("///", 0777); }, nullptr, {"."}},
      {"root as a symlink", [](TarWriter& t, const std::string& o) { t.symlink("./", o); },
       "the root can only be a directory"},
      {"root as a symlink by dot dot", [](TarWriter& t, auto& o) { t.symlink("a/..", o); },
       "the root can only be a directory"},
      {"root as a file", [](TarWriter& t, auto&) { t.file("/", "x"); },
       "the root can only be a directory"},
      {"root as a hard link", [](TarWriter& t, auto&) { t.file("f", "").hard_link(".", "f"); },
       "the root can only be a directory"},
      {"newline and controls",
       [](TarWriter& t, auto&) { t.file("a\nb\x1b[2J\x7f", "x"); },
       nullptr,
       {"a\nb\x1b[2J\x7f=x"}},
      {"no valid UTF-8",
       [](TarWriter& t, auto&) { t.file("\xff\xfe", "x"); },
       nullptr,
       {"\xff\xfe=x"}},
      {"path of 4097 bytes",
       [](TarWriter& t, auto&) {
         std::string path;
         while (path.size() < 4096) path += "d/";
         t.file(path + "f", "x");
       },
       "4096"},
      {"component of 256 bytes", [](TarWriter& t, auto&) { t.file(std::string(256, 'n'), "x"); },
       "255 bytes"},
      {"component of 255 bytes", [](TarWriter& t, auto&) { t.file(std::string(255, 'n'), "x"); }},
      {"file as a parent", [](TarWriter& t, auto&) { t.file("f", "x").file("f/g", "y"); },
       "used as a directory"},
      {"device as a parent",
       [](TarWriter& t, auto&) { t.add(device('3', 1, 3)).file("dev0/g", "y"); },
       "used as a directory"},
  };
}

std::vector<Case> symlinks() {
  return {
      {"absolute symlinked parent",
       [](TarWriter& t, const std::string& o) { t.symlink("s", o).file("s/f", "x"); }},
      {"relative symlinked parent",
       [](TarWriter& t, auto&) { t.symlink("s", "../canary").file("s/secret", "x"); },
       nullptr,
       {"canary/secret=x"}},
      {"symlink to the root",
       [](TarWriter& t, auto&) { t.symlink("s", "/").file("s/f", "x"); },
       nullptr,
       {"f=x"}},
      {"symlink above the root",
       [](TarWriter& t, auto&) { t.symlink("s", "../../../..").file("s/f", "x"); },
       nullptr,
       {"f=x"}},
      {"chain of symlinks",
       [](TarWriter& t, const std::string& o) {
         t.symlink("a", "b").symlink("b", "c/../d").symlink("d", o).file("a/f", "x");
       }},
      {"symlink loop",
       [](TarWriter& t, auto&) { t.symlink("a", "b").symlink("b", "a").file("a/f", "x"); },
       "too many symlinks"},
      {"symlink to itself", [](TarWriter& t, auto&) { t.symlink("a", "a").file("a/f", "x"); },
       "too many symlinks"},
      {"file written over a symlink",
       [](TarWriter& t, const std::string& o) { t.symlink("s", o + "/secret").file("s", "x"); },
       nullptr,
       {"s=x"}},
      {"directory over a symlink",
       [](TarWriter& t, const std::string& o) {
         t.symlink("s", o).directory("s", 0700).file("s/secret", "x");
       },
       nullptr,
       {"s/secret=x"}},
      {"parent turned into a symlink afterwards",
       [](TarWriter& t, const std::string& o) {
         t.directory("d").file("d/a", "1").symlink("d", o).file("d/secret", "x");
       }},
      {"grandparent turned into a symlink afterwards",
       [](TarWriter& t, const std::string& o) {
         t.directory("d").directory("d/e").file("d/e/a", "1").symlink("d", o).file("d/e/b", "2");
       }},
      {"symlink through the process's own descriptors",
       [](TarWriter& t, auto&) {
         t.directory("proc").symlink("s", "/proc/self/cwd").file("s/f", "x");
       },
       nullptr,
       {"proc/self/cwd/f=x"}},
      {"empty target", [](TarWriter& t, auto&) { t.symlink("s", ""); }, "target"},
      {"target of 4096 bytes", [](TarWriter& t, auto&) { t.symlink("s", std::string(4096, 't')); },
       "target"},
      {"metadata through a symlink",
       [](TarWriter& t, const std::string& o) {
         t.add({.name = "s", .type = TarMember::kSymlink, .mode = 0777, .uid = 77, .link = o});
       }},
  };
}

std::vector<Case> hard_links() {
  return {
      {"hard link to a host file", [](TarWriter& t, auto& o) { t.hard_link("h", o + "/secret"); },
       "does not exist"},
      {"hard link by dot dot", [](TarWriter& t, auto&) { t.hard_link("h", "../canary/secret"); },
       "does not exist"},
      {"hard link through a symlinked parent",
       [](TarWriter& t, const std::string& o) { t.symlink("s", o).hard_link("h", "s/secret"); },
       "does not exist"},
      {"hard link to a symlink, then written",
       [](TarWriter& t, const std::string& o) {
         t.symlink("s", o + "/secret").hard_link("h", "s").file("h", "x");
       },
       nullptr,
       {"h=x"}},
      {"hard link to a directory",
       [](TarWriter& t, auto&) { t.directory("d").hard_link("h", "d"); }, "directory"},
      {"hard link to the root", [](TarWriter& t, auto&) { t.hard_link("h", "/"); }, "root"},
      {"hard link to itself",
       [](TarWriter& t, auto&) { t.file("f", "x").hard_link("f", "./f"); },
       nullptr,
       {"f=x"}},
      {"hard link to itself, missing", [](TarWriter& t, auto&) { t.hard_link("f", "f"); },
       "does not exist"},
      {"hard link to what it replaces",
       [](TarWriter& t, auto&) { t.directory("d").file("d/f", "x").hard_link("d", "d/f"); },
       "holds its target"},
      {"hard link to a whiteout",
       [](TarWriter& t, auto&) { t.file(".wh.f", "").hard_link("h", "f"); }, "does not exist"},
  };
}

std::vector<Case> special() {
  return {
      {"whiteout as a device", [](TarWriter& t, auto&) { t.add(device('3', 0, 0)); }, "0:0"},
      {"device number too large", [](TarWriter& t, auto&) { t.add(device('4', 4096, 0)); },
       "out of range"},
      {"minor number too large", [](TarWriter& t, auto&) { t.add(device('3', 1, 1 << 20)); },
       "out of range"},
      {"uid 2^32-1", [](TarWriter& t, auto&) { t.add({.name = "f", .uid = 4294967295}); },
       "out of range"},
      {"gid 2^32", [](TarWriter& t, auto&) { t.add({.name = "f", .gid = 4294967296}); },
       "out of range"},
      {"overlay's own attribute",
       [](TarWriter& t, auto&) {
         t.add({.name = "d",
                .type = TarMember::kDirectory,
                .xattrs = {{"trusted.overlay.redirect", "/etc"}}});
       },
       "not for images"},
      {"overlay's escaped attribute",
       [](TarWriter& t, auto&) {
         t.add({.name = "f", .xattrs = {{"trusted.overlay.overlay.opaque", "y"}}});
       },
       "not for images"},
      {"overlay's attribute on the root",
       [](TarWriter& t, auto&) {
         t.add({.name = ".",
                .type = TarMember::kDirectory,
                .xattrs = {{"trusted.overlay.opaque", "y"}}});
       },
       "not for images"},
      {"directory that forbids its owner everything",
       [](TarWriter& t, auto&) { t.directory("d", 0).file("d/f", "x"); }},
      {"directory turned into a FIFO and back",
       [](TarWriter& t, auto&) {
         t.directory("d").file("d/a", "1");
         t.add({.name = "d", .type = TarMember::kFifo});
         t.directory("d").file("d/b", "2");
       },
       nullptr,
       {"d/b=2"},
       {"d/a"}},
      {"the same name many times",
       [](TarWriter& t, const std::string& o) {
         for (int i = 0; i < 50; ++i)
           t.file("n", "1").symlink("n", o).directory("n").file("n/x", "");
         t.file("n", "last");
       },
       nullptr,
       {"n=last"}},
  };
}

std::vector<Case> whiteouts() {
  return {
      {"whiteout of nothing", [](TarWriter& t, auto&) { t.file(".wh.", ""); }, "whiteout"},
      {"whiteout of dot", [](TarWriter& t, auto&) { t.file(".wh..", ""); }, "whiteout"},
      {"whiteout of dot dot", [](TarWriter& t, auto&) { t.file("d/.wh...", ""); }, "whiteout"},
      {"whiteout outside",
       [](TarWriter& t, auto&) { t.file("../.wh.canary", ""); },
       nullptr,
       {},
       {".wh.canary"}},
      {"whiteout through a symlink",
       [](TarWriter& t, const std::string& o) { t.symlink("s", o).file("s/.wh.secret", ""); }},
      {"opaque through a symlink",
       [](TarWriter& t, auto&) { t.symlink("s", "../canary").file("s/.wh..wh..opq", ""); }},
      {"opaque directory outside", [](TarWriter& t, auto&) { t.file("../../.wh..wh..opq", ""); }},
      {"AUFS' own files",
       [](TarWriter& t, auto&) { t.file(".wh..wh.plnk", "x"); },
       nullptr,
       {},
       {".wh..wh.plnk", ".wh.plnk"}},
      {"whiteout as a parent",
       [](TarWriter& t, auto&) { t.file(".wh.d", "").file("d/f", "x"); },
       nullptr,
       {"d/f=x"}},
      {"whiteout that is a symlink",
       [](TarWriter& t, const std::string& o) { t.symlink(".wh.f", o); },
       nullptr,
       {"f"}},
      {"whiteout that is a directory",
       [](TarWriter& t, auto&) { t.directory(".wh.f"); },
       nullptr,
       {"f"},
       {".wh.f"}},
  };
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto& group : {names(), symlinks(), hard_links(), special(), whiteouts()})
    all.insert(all.end(), group.begin(), group.end());
  return all;
}

class HostileLayer : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    NX_NEEDS_ROOT();
    const std::string outside = scratch_ / "canary";
    std::filesystem::create_directory(outside);
    std::filesystem::create_directory(outside + "/d");
    std::ofstream(outside + "/secret") << "canary";
    std::ofstream(outside + "/d/f") << "canary";
  }
  LayerScratch scratch_;
};

TEST_P(HostileLayer, StaysInside) {
  const Case& hostile = GetParam();
  const std::string outside = scratch_ / "canary";
  const Tree before = read_tree(outside);
  TarWriter tar;
  hostile.build(tar, outside);
  const auto result = scratch_.unpack("layer", tar.finish());
  EXPECT_EQ(compare_trees(before, read_tree(outside)), "");
  // Beside the canary lie the blob and the layer, and nothing else.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch_.path()), {}), 3);
  if (hostile.refused != nullptr) {
    EXPECT_ERROR(result, Errc::InvalidImage, HasSubstr(hostile.refused));
    return;
  }
  ASSERT_OK(result);
  for (const std::string expected : hostile.inside) {
    const std::string path = scratch_ / ("layer/" + expected.substr(0, expected.rfind('=')));
    struct stat info{};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    if (expected.find('=') == std::string::npos) continue;
    EXPECT_TRUE(S_ISREG(info.st_mode)) << path;
    EXPECT_EQ(sys::read_file(AT_FDCWD, path).value_or("?"),
              expected.substr(expected.rfind('=') + 1));
  }
  for (const char* absent : hostile.absent) {
    struct stat info{};
    EXPECT_NE(lstat((scratch_ / ("layer/" + std::string(absent))).c_str(), &info), 0) << absent;
  }
}

std::string test_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.name;
  for (char& c : name)
    if (isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Corpus, HostileLayer, ::testing::ValuesIn(all_cases()), test_name);

}  // namespace
}  // namespace nexcage::layerfs::unpack
