#include "framework/ops/gemm.h"

#include <algorithm>
#include <memory>
#include <new>

#include "framework/core/isa.h"
#include "framework/ops/gemm_kernels.h"

namespace mtrank::gemm {
namespace {

static_assert(panel_columns == panel_width);

/// The part of the left operand that is packed at once. Both operands stream from L2 and beyond, which costs less than
/// setting chains down and taking them up again: so only very long chains are cut.
constexpr int64_t block_rows = 256, block_depth = 2048;
/// Rows of a matrix that are copied before the next columns of the same rows are.
constexpr int64_t few_steps = 32;
/// Columns at once where partial chains or a packed right operand need memory of their own.
constexpr int64_t block_columns = 512;
/// So few columns do not fill a vector: rows of C go side by side instead, in packs of this many floats.
constexpr int64_t narrow_columns = 8, narrow_pack = 32 * 256;

const Kernels& kernels() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512_kernels();
  if (isa() == Isa::avx2) return avx2_kernels();
#endif
  return scalar_kernels();
}

/// Memory of this thread, kept from call to call; aligned to 64 bytes, not initialised.
class Workspace {
 public:
  float* get(size_t floats) {
    if (floats > size_) {
      data_.reset();
      data_.reset(static_cast<float*>(::operator new (floats * sizeof(float), std::align_val_t{64})));
      size_ = floats;
    }
    return data_.get();
  }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(float* p) const { ::operator delete (p, std::align_val_t{64}); }
  };
  std::unique_ptr<float, Free> data_;
  size_t size_ = 0;
};
thread_local Workspace left_space, right_space, chain_space;

/// `count` things in `parts` runs whose sizes differ by at most one.
struct Split {
  int64_t count, parts;
  static Split at_most(int64_t count, int64_t size) { return {count, std::max<int64_t>(1, (count + size - 1) / size)}; }
  int64_t begin(int64_t part) const { return count * part / parts; }
  int64_t size(int64_t part) const { return begin(part + 1) - begin(part); }
};

/// The left operand, [rows, steps]: A itself, or Aᵀ where the products run down the rows of A.
struct Left {
  const float* a;
  int64_t lda;
  bool transposed;
};

/// The left operand's tiles, [step][row of the tile], one after the other with room for what packing writes too much.
class PackedTiles {
 public:
  PackedTiles(const Left& left, int64_t row, int64_t rows, int64_t step, int64_t steps)
      : tiles_(Split::at_most(rows, kernels().rows)), steps_(steps) {
    data_ = left_space.get(floats(rows, steps));
    const float* a = left.transposed ? left.a + step * left.lda + row : left.a + row * left.lda + step;
    left.transposed ? copy(a, left.lda) : transpose(a, left.lda);
  }
  static int64_t floats(int64_t rows, int64_t steps) { return rows * steps + room * (rows / kernels().rows + 2); }
  int64_t count() const { return tiles_.parts; }
  int64_t begin(int64_t i) const { return tiles_.begin(i); }
  int64_t size(int64_t i) const { return tiles_.size(i); }
  float* tile(int64_t i) const { return data_ + begin(i) * steps_ + i * room; }

 private:
  static constexpr int64_t room = 16;

  /// A few rows of A at a time, so that neighbouring tiles find them in cache and in the TLB.
  void copy(const float* a, int64_t lda) {
    for (int64_t k = 0; k < steps_; k += few_steps)
      for (int64_t i = 0; i < count(); ++i)
        kernels().copy(a + k * lda + begin(i), lda, size(i), std::min(few_steps, steps_ - k), tile(i) + k * size(i),
                       size(i));
  }

  void transpose(const float* a, int64_t lda) {
    for (int64_t i = 0; i < count(); ++i)
      kernels().transpose(a + begin(i) * lda, lda, size(i), steps_, tile(i), size(i));
  }

  Split tiles_;
  int64_t steps_;
  float* data_;
};

/// C [m, n] = left [m, k] * right, with right [k, n] packed in panels of all k steps.
struct Product {
  int64_t m, k, n;
  Left left;
  const float* right;
  float* c;
  int64_t ldc;
  Epilogue epilogue;
};

/// Column j of the packed operand's step 0.
const float* panel_at(const float* packed, int64_t k, int64_t j) {
  return packed + j / panel_columns * panel_columns * k + j % panel_columns;
}

/// One row block times one block of steps, for columns [first, first + columns); `chains` holds what the steps before
/// left and takes what they leave. Null: this block is the whole chain.
void multiply_block(const Product& p, int64_t row, int64_t rows, const Split& depth, int64_t part, int64_t first,
                    int64_t columns, float* chains, int64_t ld_chains) {
  const int64_t steps = depth.size(part), step = depth.begin(part);
  const PackedTiles tiles(p.left, row, rows, step, steps);
  const bool last = part + 1 == depth.parts;
  const Epilogue& e = p.epilogue;
  for (int64_t j = first; j < first + columns; j += kernels().width) {
    Tile t;
    t.columns = std::min(kernels().width, p.n - j);
    t.depth = steps;
    t.b = panel_at(p.right, p.k, j) + step * panel_columns;
    t.b_step = panel_columns;
    for (int64_t i = 0; i < tiles.count(); ++i) {
      const int64_t begin = tiles.begin(i);
      t.rows = t.a_stride = tiles.size(i);
      t.a = tiles.tile(i);
      float* chain = chains + begin * ld_chains + j - first;
      t.start = part > 0 ? chain : nullptr;
      t.ld_start = ld_chains;
      t.c = last ? p.c + (row + begin) * p.ldc + j : chain;
      t.ldc = last ? p.ldc : ld_chains;
      if (last) t.bias = e.bias ? e.bias + j : nullptr, t.accumulate = e.accumulate, t.relu = e.relu;
      kernels().tile(t);
    }
    if (last && e.after) e.after(e.context, row, rows, j, t.columns);
  }
}

/// Whole panels, at most block_columns, of much the same number each time.
int64_t even_width(int64_t n) {
  const Split chunks = Split::at_most(panels(n), block_columns / panel_columns);
  return (chunks.count + chunks.parts - 1) / chunks.parts * panel_columns;
}

void multiply_blocked(const Product& p) {
  const Split depth = Split::at_most(p.k, block_depth), blocks = Split::at_most(p.m, block_rows);
  // A partial chain waits in C, unless C's old values are still needed.
  const bool own_chains = depth.parts > 1 && p.epilogue.accumulate;
  const int64_t width = own_chains ? even_width(p.n) : p.n;
  for (int64_t block = 0; block < blocks.parts; ++block) {
    const int64_t row = blocks.begin(block), rows = blocks.size(block);
    for (int64_t j = 0; j < p.n; j += width) {
      const int64_t columns = std::min(width, p.n - j);
      float* chains = own_chains ? chain_space.get(rows * width) : p.c + row * p.ldc + j;
      for (int64_t part = 0; part < depth.parts; ++part)
        multiply_block(p, row, rows, depth, part, j, columns, chains, own_chains ? width : p.ldc);
    }
  }
}

/// A few rows: the right operand is read once, in its order.
void multiply_few_rows(const Product& p) {
  const int64_t widest = kernels().columns(p.m);
  for (int64_t j = 0; j < p.n;) {
    int64_t width = widest;
    while (width / panel_columns > panels(p.n - j)) width /= 2;
    Tile t;
    t.rows = p.m;
    t.columns = std::min(width, p.n - j);
    t.depth = p.k;
    t.a = p.left.a;
    t.row_major = true;
    t.a_stride = p.left.lda;
    t.b = p.right + j * p.k;
    t.b_step = panel_columns;
    t.b_panel = panel_columns * p.k;
    t.c = p.c + j;
    t.ldc = p.ldc;
    t.bias = p.epilogue.bias ? p.epilogue.bias + j : nullptr;
    t.accumulate = p.epilogue.accumulate;
    t.relu = p.epilogue.relu;
    kernels().tile(t);
    j += width;
  }
  if (p.epilogue.after) p.epilogue.after(p.epilogue.context, 0, p.m, 0, p.n);
}

/// Stores chains [n, width], one column a row of C.
void store_narrow(const Product& p, float* chains, int64_t width, int64_t row, int64_t rows) {
  const Epilogue& e = p.epilogue;
  for (int64_t j = 0; j < p.n; ++j) {
    float* x = chains + j * width;
    float* c = p.c + row * p.ldc + j;
    if (e.bias)
      for (int64_t i = 0; i < rows; ++i) x[i] += e.bias[j];
    if (e.accumulate)
      for (int64_t i = 0; i < rows; ++i) x[i] = c[i * p.ldc] + x[i];
    if (e.relu)
      for (int64_t i = 0; i < rows; ++i) x[i] = x[i] < 0 ? 0 : x[i];
    for (int64_t i = 0; i < rows; ++i) c[i * p.ldc] = x[i];
  }
  if (e.after) e.after(e.context, row, rows, 0, p.n);
}

/// A few columns: rows of C side by side in vectors. `lay_out(row, rows, step, tile)` gives the tile its operand b, the
/// transposed rows of the left operand.
template <class LayOut>
void multiply_narrow(const Product& p, const float* right, int64_t ld_right, const LayOut& lay_out) {
  int64_t width = std::max(panel_columns, kernels().columns(p.n));
  float chains[4 * narrow_columns * panel_columns];
  for (int64_t row = 0; row < p.m; row += width) {
    while (width > panel_columns && p.m - row <= width / 2) width /= 2;
    const int64_t rows = std::min(width, p.m - row);
    const Split depth = Split::at_most(p.k, narrow_pack / width);
    Tile t;
    t.rows = p.n;
    t.columns = width;
    t.a_stride = ld_right;
    t.c = chains;
    t.ldc = t.ld_start = width;
    for (int64_t part = 0; part < depth.parts; ++part) {
      t.depth = depth.size(part);
      t.a = right + depth.begin(part) * ld_right;
      t.start = part > 0 ? chains : nullptr;
      lay_out(row, rows, depth.begin(part), t);
      kernels().tile(t);
    }
    store_narrow(p, chains, width, row, rows);
  }
}

/// Packs rows of A side by side.
void multiply_narrow(const Product& p) {
  multiply_narrow(p, p.right, panel_columns, [&](int64_t row, int64_t rows, int64_t step, Tile& t) {
    float* packed = left_space.get(narrow_pack + 16);
    t.b = packed;
    t.b_step = panel_columns;
    t.b_panel = t.depth * panel_columns;
    for (int64_t i = 0; i < t.columns; i += 16)
      kernels().transpose(p.left.a + (row + i) * p.left.lda + step, p.left.lda, std::clamp<int64_t>(rows - i, 0, 16),
                          t.depth, packed + i / panel_columns * t.b_panel + i % panel_columns, panel_columns);
  });
}

/// Columns of A lie side by side already; only where they do not fill a tile they are copied.
void weight_gradient_narrow(const Product& p, const float* dy, int64_t lddy) {
  multiply_narrow(p, dy, lddy, [&](int64_t row, int64_t rows, int64_t step, Tile& t) {
    const float* a = p.left.a + step * p.left.lda + row;
    t.b = a;
    t.b_step = p.left.lda;
    t.b_panel = panel_columns;
    if (rows == t.columns) return;
    float* packed = left_space.get(narrow_pack);
    t.b = packed;
    t.b_step = panel_columns;
    t.b_panel = t.depth * panel_columns;
    for (int64_t i = 0; i < t.columns; i += panel_columns)
      kernels().copy(a + i, p.left.lda, std::clamp<int64_t>(rows - i, 0, panel_columns), t.depth, packed + i * t.depth,
                     panel_columns);
  });
}

bool narrow(int64_t n) { return n <= std::min(narrow_columns, kernels().rows); }

}  // namespace

void pack(int64_t k, int64_t n, const float* w, int64_t ld, float* packed, int64_t first, int64_t last) {
  for (int64_t i = 0; i < k; i += few_steps)
    for (int64_t p = first; p < last; ++p) {
      const int64_t j = p * panel_columns;
      kernels().copy(w + i * ld + j, ld, std::min(panel_columns, n - j), std::min(few_steps, k - i),
                     packed + j * k + i * panel_columns, panel_columns);
    }
}

void pack_transposed(int64_t k, int64_t n, const float* w, int64_t ld, float* packed, int64_t first, int64_t last) {
  for (int64_t p = first; p < last; ++p) {
    const int64_t j = p * panel_columns, columns = std::min(panel_columns, n - j);
    float* to = packed + j * k;
    if (columns < panel_columns) std::fill_n(to, panel_columns * k, 0.0f);
    for (int64_t i = 0; i < columns; i += 16)
      kernels().transpose(w + (j + i) * ld, ld, std::min<int64_t>(columns - i, 16), k, to + i, panel_columns);
  }
}

void multiply(int64_t m, int64_t k, int64_t n, const float* a, int64_t lda, const float* packed, float* c, int64_t ldc,
              const Epilogue& epilogue) {
  if (m <= 0 || n <= 0) return;
  const Product p{m, k, n, {a, lda, false}, packed, c, ldc, epilogue};
  if (kernels().columns(m) > 0) return multiply_few_rows(p);
  if (narrow(n)) return multiply_narrow(p);
  multiply_blocked(p);
}

void weight_gradient(int64_t m, int64_t k, int64_t n, const float* a, int64_t lda, const float* dy, int64_t lddy,
                     float* dw, int64_t lddw, bool accumulate) {
  if (k <= 0 || n <= 0) return;
  Epilogue epilogue;
  epilogue.accumulate = accumulate;
  if (narrow(n)) return weight_gradient_narrow({k, m, n, {a, lda, true}, nullptr, dw, lddw, epilogue}, dy, lddy);
  const int64_t width = even_width(n);
  for (int64_t j = 0; j < n; j += width) {
    const int64_t columns = std::min(width, n - j);
    float* packed = right_space.get(packed_floats(m, columns));
    pack(m, columns, dy + j, lddy, packed);
    multiply_blocked({k, m, columns, {a, lda, true}, packed, dw + j, lddw, epilogue});
  }
}

void bias_gradient(int64_t m, int64_t n, const float* dy, int64_t lddy, float* db, bool accumulate) {
  for_isa([=]() MTRANK_INLINE_LAMBDA {
    constexpr int64_t width = 256;
    for (int64_t j0 = 0; j0 < n; j0 += width) {
      const int64_t columns = n - j0 < width ? n - j0 : width;
      float sums[width] = {};
      for (int64_t i = 0; i < m; ++i) {
        const float* row = dy + i * lddy + j0;
        for (int64_t j = 0; j < columns; ++j) sums[j] += row[j];
      }
      for (int64_t j = 0; j < columns; ++j) db[j0 + j] = accumulate ? db[j0 + j] + sums[j] : sums[j];
    }
  });
}

size_t multiply_floats(int64_t m, int64_t k, int64_t n) {
  const int64_t rows = std::min(m, block_rows);
  const int64_t left = std::max(PackedTiles::floats(rows, std::min(k, block_depth)), narrow_pack + 16);
  return left + (k > block_depth ? rows * even_width(n) : 0);
}

size_t weight_gradient_floats(int64_t m, int64_t k, int64_t n) {
  return multiply_floats(k, m, n) + packed_floats(m, even_width(n));
}

size_t thread_floats() { return left_space.size() + right_space.size() + chain_space.size(); }

}  // namespace mtrank::gemm
