#include "nexcage/layerfs/layer_pool.h"

#include <set>
#include <string>

#include "result_matchers.h"

namespace nexcage::layerfs {
namespace {

/// A digest that looks like one; hashing so many takes the sanitizers minutes.
oci::Digest digest_of(std::size_t number) {
  BinaryDigest digest;
  for (std::uint64_t& word : digest.words) word = ++number * 0x9e3779b97f4a7c15;
  return oci::Digest::from_hex("sha256", to_hex(digest));
}

class LayerPoolSizes : public ::testing::TestWithParam<std::size_t> {};

TEST_P(LayerPoolSizes, GivesBackWhatItWasGiven) {
  LayerPool pool;
  std::vector<LayerHandle> handles;
  for (std::size_t i = 0; i < GetParam(); ++i) {
    const oci::Digest diff = digest_of(2 * i), chain = digest_of(2 * i + 1);
    const std::string key = (i % 3 == 0   ? "d-" + std::string(diff.hex())
                             : i % 3 == 1 ? "m-" + std::string(chain.hex())
                                          : "name " + std::to_string(i));
    handles.push_back(pool.create({.key = key,
                                   .kind = LayerKind::index,
                                   .diff_id = &diff,
                                   .chain_id = &chain,
                                   .parent = i == 0 ? nullptr : &diff,
                                   .bytes = i,
                                   .entries = 2 * i,
                                   .references = 3}));
  }
  ASSERT_EQ(pool.size(), GetParam());
  EXPECT_EQ(std::set(handles.begin(), handles.end()).size(), GetParam());
  // Of very many a sample: the sanitizers make text slow.
  for (std::size_t i = 0; i < GetParam(); i += 1 + GetParam() / 10'000) {
    const oci::Digest diff = digest_of(2 * i), chain = digest_of(2 * i + 1);
    const LayerPool::Record& record = pool.at(handles[i]);
    ASSERT_EQ(record.bytes, i);
    ASSERT_EQ(record.entries, 2 * i);
    ASSERT_EQ(to_hex(record.diff_id), diff.hex());
    ASSERT_EQ(to_hex(record.chain_id), chain.hex());
    ASSERT_EQ(record.parent.is_none(), i == 0);
    ASSERT_EQ(pool.key(handles[i]), i % 3 == 0   ? "d-" + std::string(diff.hex())
                                    : i % 3 == 1 ? "m-" + std::string(chain.hex())
                                                 : "name " + std::to_string(i));
  }
}

INSTANTIATE_TEST_SUITE_P(Many, LayerPoolSizes, ::testing::Values(10, 100, 1'000, 100'000));

TEST(LayerPool, TakesPlacesThatWereGivenBack) {
  LayerPool pool;
  const oci::Digest diff = digest_of(1);
  const LayerHandle first = pool.create({.key = "a", .diff_id = &diff});
  const LayerHandle second = pool.create({.key = "b", .diff_id = &diff});
  pool.release(first);
  pool.release(first);  // no harm
  EXPECT_EQ(pool.size(), 1u);
  EXPECT_EQ(pool.create({.key = "c", .diff_id = &diff}), first);
  EXPECT_NE(pool.create({.key = "d", .diff_id = &diff}), second);
  EXPECT_EQ(pool.key(first) + pool.key(second), "cb");
}

TEST(LayerPool, MemoryDoesNotGrowWithTurnover) {
  LayerPool pool;
  const LayerHandle kept = pool.create({.key = "this one stays"});
  std::size_t before = 0;
  for (int i = 0; i < 100'000; ++i) {
    pool.release(pool.create({.key = "a name of its own " + std::to_string(i)}));
    if (i == 1'000) before = pool.memory();
  }
  EXPECT_LE(pool.memory(), before * 2);
  EXPECT_EQ(pool.key(kept), "this one stays");
}

TEST(LayerPool, EachVisitsThoseThatAreThere) {
  LayerPool pool;
  const LayerHandle one = pool.create({.key = "1"}), two = pool.create({.key = "2"}),
                    three = pool.create({.key = "3"});
  pool.release(two);
  std::vector<LayerHandle> seen;
  pool.each([&](LayerHandle layer) { seen.push_back(layer); });
  EXPECT_THAT(seen, ::testing::ElementsAre(one, three));
}

TEST(BinaryDigest, KeepsTheDigits) {
  const std::string hex = "0123456789abcdeffedcba98765432100f1e2d3c4b5a69788796a5b4c3d2e1f0";
  EXPECT_EQ(to_hex(to_binary(oci::Digest::from_hex("sha256", hex))), hex);
}

TEST(BinaryDigest, OtherAlgorithmsAreToldApart) {
  const std::string a(128, 'a'), b(128, 'b');
  const BinaryDigest one = to_binary(oci::Digest::from_hex("sha512", a));
  EXPECT_EQ(one, to_binary(oci::Digest::from_hex("sha512", a)));
  EXPECT_FALSE(one == to_binary(oci::Digest::from_hex("sha512", b)));
  EXPECT_FALSE(one == to_binary(oci::Digest::from_hex("sha256", a.substr(64))));
}

}  // namespace
}  // namespace nexcage::layerfs
