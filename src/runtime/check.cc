#include "nexcage/runtime/check.h"

#include <map>

#include "nexcage/registry/repair.h"
#include "nexcage/runtime/layers.h"
#include "nexcage/runtime/pull.h"

namespace nexcage::runtime {

namespace {

/// A damaged document hides what it leads to: what is found once it is repaired takes a further
/// round.
constexpr int kRounds = 4;

/// The errors of what could not be fetched.
std::vector<Error> refetch(const std::vector<image::Damage>& damages, const image::Layout& layout,
                           const registry::Choices& choices, const registry::TransferWatch& watch,
                           const Services& with) {
  std::map<oci::Digest, std::vector<oci::Digest>> by_image;
  for (const image::Damage& damage : damages) by_image[damage.entry].push_back(damage.blob);
  std::vector<Error> errors;
  for (const auto& [entry, blobs] : by_image) {
    auto fetched = registry::refetch_blobs(layout, entry, blobs, choices,
                                           transfer_place(with.settings), watch);
    if (!fetched) errors.push_back(std::move(fetched).error());
  }
  return errors;
}

}  // namespace

Result<CheckReport> check_images(Repair repair, const registry::Choices& choices,
                                 const registry::TransferWatch& watch, Services& with) {
  NX_TRY(const image::Store store,
         image::Store::open(with.settings.images, image::Store::IfMissing::create));
  CheckReport report;
  NX_TRY(report.before, image::check_store(store, with.settings.libexec));
  report.left = report.before.damages;
  if (repair == Repair::no) return report;
  NX_TRY(const image::Layout layout,
         image::Layout::open(with.settings.images, image::Store::IfMissing::fail));
  for (int round = 0; round < kRounds && !report.left.empty(); ++round) {
    report.repairs_failed = refetch(report.left, layout, choices, watch, with);
    // What is repaired is not what was fetched but what is right now.
    NX_TRY(image::StoreCheck after, image::check_store(store, with.settings.libexec));
    report.left = std::move(after.damages);
    if (!report.repairs_failed.empty()) break;
  }
  return report;
}

Result<GarbageReport> collect_garbage(Remove remove, Services& with) {
  NX_TRY(const image::Layout layout,
         image::Layout::open(with.settings.images, image::Store::IfMissing::create));
  NX_TRY(const image::Store store,
         image::Store::open(with.settings.images, image::Store::IfMissing::create));
  GarbageReport report;
  const bool removes = remove == Remove::yes;
  NX_TRY(report.store, removes ? image::remove_garbage(layout) : image::find_garbage(layout));
  NX_TRY(report.layers, collect_layers(store, with, !removes));
  return report;
}

}  // namespace nexcage::runtime
