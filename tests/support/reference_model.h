#pragma once

#include <string>
#include <vector>

#include "tests/support/named_blocks.h"

namespace mtrank::testing {

/// The model of configs/kuairand_reference.yaml with the sizes of a case of tests/golden/make_kuairand.py, on tables
/// of known rows. Full Adam for everything.
std::string reference_config(const GoldenCase& c);

/// Where each dense tensor of PyTorch's state_dict lies in ours.
std::vector<Block> reference_blocks(const GoldenCase& c);

}  // namespace mtrank::testing
