#include "nexcage/image/sha256.h"
#include "nexcage/image/store.h"

namespace nexcage::image {

std::vector<oci::Digest> chain_ids(const std::vector<oci::Digest>& diff_ids) {
  // ChainID(L0) = DiffID(L0); ChainID(L0|...|Ln) = Digest(ChainID(L0|...|Ln-1) + " " + DiffID(Ln)).
  std::vector<oci::Digest> chain;
  chain.reserve(diff_ids.size());
  for (const oci::Digest& diff_id : diff_ids)
    chain.push_back(chain.empty() ? diff_id
                                  : sha256_digest(chain.back().str() + " " + diff_id.str()));
  return chain;
}

}  // namespace nexcage::image
