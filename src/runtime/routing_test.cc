#include "nexcage/runtime/routing.h"

#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

RouteRule rule(const char* id, const char* image, const char* backend) {
  RouteRule made;
  if (id != nullptr) made.id = *Regex::compile(id);
  if (image != nullptr) made.image = *Regex::compile(image);
  made.backend = backend;
  made.origin = "c.toml:1";
  return made;
}

RouteQuery container(const char* id, const char* image = "") {
  RouteQuery query;
  query.id = id;
  query.image = image;
  return query;
}

TEST(Route, the_command_line_beats_everything) {
  RouteQuery query = container("web1");
  query.asked = "runc";
  query.annotations["org.nexcage.runtime"] = "crun";
  const Route found = route(query, {rule("web", nullptr, "vm")}, "lxc");
  EXPECT_EQ(found.backend, "runc");
  EXPECT_THAT(found.steps, ElementsAre(HasSubstr("command line")));
}

TEST(Route, the_annotation_beats_rules) {
  RouteQuery query = container("web1");
  query.annotations["org.nexcage.runtime"] = "crun";
  EXPECT_EQ(route(query, {rule("web", nullptr, "vm")}, "lxc").backend, "crun");
}

TEST(Route, the_first_rule_that_matches_decides) {
  const std::vector<RouteRule> rules = {rule("^db", nullptr, "runc"), rule("^web", nullptr, "crun"),
                                        rule("1$", nullptr, "vm")};
  const Route found = route(container("web1"), rules, "lxc");
  EXPECT_EQ(found.backend, "crun");
  EXPECT_THAT(found.steps,
              ElementsAre(HasSubstr("nothing"), HasSubstr("no annotation"),
                          HasSubstr("\"^db\" does not match"), HasSubstr("\"^web\" matches")));
}

TEST(Route, every_expression_of_a_rule_must_match) {
  const std::vector<RouteRule> rules = {rule("^web", "nginx", "crun")};
  EXPECT_EQ(route(container("web1"), rules, "lxc").backend, "lxc");
  EXPECT_EQ(route(container("web1", "redis"), rules, "lxc").backend, "lxc");
  EXPECT_EQ(route(container("web1", "nginx:1"), rules, "lxc").backend, "crun");
  EXPECT_EQ(route(container("db", "nginx:1"), rules, "lxc").backend, "lxc");
}

TEST(Route, an_image_matches_as_written_or_as_normalised) {
  EXPECT_EQ(route(container("a", "nginx"), {rule(nullptr, "^nginx$", "crun")}, "lxc").backend,
            "crun");
  EXPECT_EQ(route(container("a", "nginx"), {rule(nullptr, "^docker[.]io/library/", "crun")}, "lxc")
                .backend,
            "crun");
}

TEST(Route, a_bundle_has_no_image) {
  EXPECT_EQ(route(container("a"), {rule(nullptr, ".*", "crun")}, "lxc").backend, "lxc");
}

TEST(Route, the_default_is_last) {
  const Route found = route(container("a"), {}, "runc");
  EXPECT_EQ(found.backend, "runc");
  EXPECT_THAT(found.steps.back(), HasSubstr("default"));
}

}  // namespace
}  // namespace nexcage::runtime
