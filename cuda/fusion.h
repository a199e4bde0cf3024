#pragma once

#include <cstddef>
#include <vector>

#include "cuda/call.h"
#include "framework/graph/plan.h"

/// What the GPU launches in other pieces than the graph lists it in. Decided before memory is placed, since it changes
/// what is alive at the same time; the numbers are those of the graph as it was.
namespace mtrank::cuda {

/// y = relu(x W + b), whose gradient is masked by the product that makes it: dz = (dz' W'ᵀ) * [y > 0]. The forward
/// product keeps the signs, a bit a number.   y, dz [B, cols]
struct ReluFusion {
  size_t forward = 0;   ///< the linear node that makes y
  size_t product = 0;   ///< the linear_input_gradient node, which makes dz in place of dy
  size_t gradient = 0;  ///< the activation_gradient node: nothing where the product has masked, else dz *= [y > 0]
  int64_t cols = 0;

  /// Bits from row to row of the signs.
  int64_t ld() const;
  size_t bytes(int64_t rows) const { return static_cast<size_t>(rows * ld() / 8); }
};

/// Whether the library offers to mask in the product of such a node. As Products::run, not the first time in a capture.
bool can_mask(const Call& product);

/// db = Σ_B dz: the kernel that writes dz sums it, and the weight gradient behind it, which is the next node, needs not
/// read it for that.
struct BiasFusion {
  size_t writer = 0;
  size_t output = 0;  ///< of the writer: dz
};

struct Fusions {
  std::vector<ReluFusion> relus;
  std::vector<BiasFusion> biases;
  /// Neighbours that may run at the same time: losses, which are one launch; the softmax of gates and the mixture
  /// behind it, likewise, and their gradients; a weight gradient and the input gradient behind it, which read the same
  /// dz.
  std::vector<NodeRange> together;
};

/// Finds what can be fused. Where a product is to make dz itself, the graph's nodes then say so; there are as many
/// nodes as before, in the same order.
Fusions fuse(Graph& graph);

}  // namespace mtrank::cuda
