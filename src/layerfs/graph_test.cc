#include "nexcage/layerfs/graph.h"

#include <algorithm>
#include <random>
#include <string>

#include "result_matchers.h"

namespace nexcage::layerfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

BinaryDigest id(std::size_t number) {
  return {.words = {(number + 1) * 0x9e3779b97f4a7c15, number, 0, 0}};
}
constexpr BinaryDigest kNothing;

/// Names of nodes as the numbers they were made of.
std::vector<std::size_t> numbers(const LayerGraph& graph, std::span<const LayerGraph::Node> nodes,
                                 std::size_t limit) {
  std::vector<std::size_t> found;
  for (const LayerGraph::Node node : nodes)
    for (std::size_t i = 0; i < limit; ++i)
      if (graph.id(node) == id(i)) found.push_back(i);
  return found;
}

class LayerGraphSizes : public ::testing::TestWithParam<std::size_t> {};

/// Stacks of ten, given in any order, parents often after what lies on them.
TEST_P(LayerGraphSizes, ParentsComeFirst) {
  constexpr std::size_t kStack = 10;
  std::vector<std::size_t> given(GetParam());
  for (std::size_t i = 0; i < given.size(); ++i) given[i] = i;
  std::ranges::shuffle(given, std::mt19937(1));
  LayerGraph graph;
  for (const std::size_t i : given) graph.add(id(i), i % kStack == 0 ? kNothing : id(i - 1));
  const LayerGraph::Order order = graph.order();
  ASSERT_EQ(order.sorted.size(), GetParam());
  EXPECT_THAT(order.orphans, IsEmpty());
  EXPECT_THAT(order.cyclic, IsEmpty());
  std::vector<bool> seen(graph.size());
  for (const LayerGraph::Node node : order.sorted) {
    ASSERT_TRUE(graph.parent(node) == LayerGraph::kNone || seen[graph.parent(node)]);
    seen[node] = true;
  }
}

/// One stack of all: recursion would end in a stack overflow.
TEST_P(LayerGraphSizes, DeepStacks) {
  LayerGraph graph;
  graph.reserve(GetParam());
  for (std::size_t i = GetParam(); i-- > 0;) graph.add(id(i), i == 0 ? kNothing : id(i - 1));
  const LayerGraph::Order order = graph.order();
  ASSERT_EQ(order.sorted.size(), GetParam());
  for (std::size_t i = 0; i < order.sorted.size(); ++i)
    ASSERT_EQ(graph.parent(order.sorted[i]), i == 0 ? LayerGraph::kNone : order.sorted[i - 1]);
}

TEST_P(LayerGraphSizes, BigCircles) {
  LayerGraph graph;
  for (std::size_t i = 0; i < GetParam(); ++i) graph.add(id(i), id((i + 1) % GetParam()));
  graph.add(id(GetParam()), kNothing);
  const LayerGraph::Order order = graph.order();
  EXPECT_EQ(order.cyclic.size(), GetParam());
  EXPECT_EQ(order.sorted.size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Many, LayerGraphSizes, ::testing::Values(10, 100, 1'000, 100'000));

TEST(LayerGraph, TellsWhatLacksAParent) {
  LayerGraph graph;
  graph.add(id(2), id(1));  // 1 is never added
  graph.add(id(3), id(2));
  graph.add(id(5), id(4));
  graph.add(id(4), kNothing);
  const LayerGraph::Order order = graph.order();
  EXPECT_THAT(numbers(graph, order.orphans, 6), ElementsAre(2, 3));
  EXPECT_THAT(numbers(graph, order.sorted, 6), ElementsAre(4, 5));
  EXPECT_EQ(graph.find(id(1)), LayerGraph::kNone);
  EXPECT_TRUE(graph.is_missing(graph.parent(graph.find(id(2)))));
}

TEST(LayerGraph, TellsCirclesAndWhatLiesOnThem) {
  LayerGraph graph;
  graph.add(id(1), id(2));
  graph.add(id(2), id(1));
  graph.add(id(3), id(2));
  graph.add(id(4), id(4));
  graph.add(id(5), kNothing);
  const LayerGraph::Order order = graph.order();
  EXPECT_THAT(numbers(graph, order.cyclic, 6), UnorderedElementsAre(1, 2, 3, 4));
  EXPECT_THAT(numbers(graph, order.sorted, 6), ElementsAre(5));
}

TEST(LayerGraph, TheSameLayerTwice) {
  LayerGraph graph;
  const auto node = graph.add(id(2), id(1));
  EXPECT_EQ(graph.add(id(2), id(1)), node);
  EXPECT_FALSE(graph.contradicts(node));
  EXPECT_EQ(graph.add(id(2), kNothing), node);
  EXPECT_TRUE(graph.contradicts(node));
  EXPECT_EQ(graph.parent(node), graph.add(id(1), kNothing));
  EXPECT_EQ(graph.size(), 2u);
}

TEST(LayerGraph, WhatLiesAbove) {
  LayerGraph graph;
  for (const std::size_t i : {2U, 3U, 4U}) graph.add(id(i), id(1));
  graph.add(id(1), kNothing);
  graph.add(id(5), id(3));
  graph.index_children();
  EXPECT_THAT(numbers(graph, graph.above(graph.find(id(1))), 6), UnorderedElementsAre(2, 3, 4));
  EXPECT_THAT(numbers(graph, graph.above(graph.find(id(3))), 6), ElementsAre(5));
  EXPECT_THAT(graph.above(graph.find(id(5))), IsEmpty());
}

TEST(LayerGraph, EmptyIsNoTrouble) {
  LayerGraph graph;
  EXPECT_THAT(graph.order().sorted, IsEmpty());
  EXPECT_EQ(graph.find(id(1)), LayerGraph::kNone);
  graph.index_children();
}

}  // namespace
}  // namespace nexcage::layerfs
