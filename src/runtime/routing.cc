#include "nexcage/runtime/routing.h"

#include "nexcage/base/text.h"
#include "nexcage/oci/reference.h"

namespace nexcage::runtime {
namespace {

constexpr const char* kAnnotation = "org.nexcage.runtime";

bool image_matches(const Regex& expression, const std::string& image) {
  if (image.empty()) return false;
  if (expression.matches(image)) return true;
  const auto reference = oci::Reference::parse(image);
  return reference && expression.matches(reference->str());
}

std::string shown(const char* what, const Regex& expression, bool matched) {
  return std::string(what) + " " + quote(expression.text()) +
         (matched ? " matches" : " does not match");
}

/// True when the rule decides; what was found goes into `step`.
bool decides(const RouteRule& rule, const RouteQuery& query, std::string& step) {
  bool all = true;
  step = "rule at " + rule.origin + ":";
  if (rule.id) {
    const bool matched = !query.id.empty() && rule.id->matches(query.id);
    step += " " + shown("id", *rule.id, matched);
    all = matched;
  }
  if (rule.image) {
    const bool matched = image_matches(*rule.image, query.image);
    step += (rule.id ? ", " : " ") + shown("image", *rule.image, matched);
    all = all && matched;
  }
  return all;
}

}  // namespace

Route route(const RouteQuery& query, const std::vector<RouteRule>& rules,
            const std::string& default_backend) {
  if (!query.asked.empty()) return {query.asked, {"the command line says so"}};
  Route route;
  route.steps.emplace_back("the command line says nothing");
  const auto annotation = query.annotations.find(kAnnotation);
  if (annotation != query.annotations.end()) {
    route.backend = annotation->second;
    route.steps.push_back(std::string("annotation ") + kAnnotation + " says so");
    return route;
  }
  route.steps.push_back(std::string("no annotation ") + kAnnotation);
  for (const RouteRule& rule : rules) {
    const bool decided = decides(rule, query, route.steps.emplace_back());
    if (!decided) continue;
    route.backend = rule.backend;
    return route;
  }
  route.backend = default_backend;
  route.steps.emplace_back("the default, runtime.default");
  return route;
}

}  // namespace nexcage::runtime
