#include "nexcage/cli/options.h"

#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::cli {

Options& Options::flag(std::string names, bool& target, std::string help) {
  options_.push_back({std::move(names), "", std::move(help), &target});
  return *this;
}

Options& Options::flag(std::string names, std::optional<bool>& target, std::string help) {
  options_.push_back({std::move(names), "", std::move(help), &target});
  return *this;
}

Options& Options::text(std::string names, std::string value, std::string& target,
                       std::string help) {
  options_.push_back({std::move(names), std::move(value), std::move(help), &target});
  return *this;
}

Options& Options::text(std::string names, std::string value, std::optional<std::string>& target,
                       std::string help) {
  options_.push_back({std::move(names), std::move(value), std::move(help), &target});
  return *this;
}

Options& Options::list(std::string names, std::string value, std::vector<std::string>& target,
                       std::string help) {
  options_.push_back({std::move(names), std::move(value), std::move(help), &target});
  return *this;
}

Options& Options::hidden() {
  options_.back().hidden = true;
  return *this;
}

std::vector<std::string> Options::names() const {
  std::vector<std::string> all;
  for (const Option& option : options_)
    for (std::string& name : split(option.names, ',')) all.push_back(std::move(name));
  return all;
}

}  // namespace nexcage::cli
