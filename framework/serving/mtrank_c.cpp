#include "framework/serving/mtrank_c.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "framework/core/error.h"
#include "framework/core/host.h"
#include "framework/data/csv_text.h"
#include "framework/serving/scorer.h"

struct mtrank_model {
  mtrank::Scorer scorer;
};

namespace {

using mtrank::DataError;
using mtrank::ExitCode;

thread_local std::string last_error;

int fail(ExitCode code, const char* message) {
  last_error = message;
  return static_cast<int>(code);
}

/// No exception may leave a C function.
template <class F>
int guarded(const F& f) {
  try {
    f();
    return 0;
  } catch (const mtrank::Error& e) {
    return fail(e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return fail(ExitCode::resource, "out of memory");
  } catch (const std::exception& e) {
    return fail(ExitCode::bug, e.what());
  }
}

/// The fields of CSV text, row by row; quotes are taken off in the text itself.
class CsvFields {
 public:
  CsvFields(const char* text, size_t size) {
    if (size >= UINT32_MAX) throw DataError("the text has 4 GiB or more; score it in parts");
    if (std::string_view(text, size).starts_with("\xef\xbb\xbf")) text += 3, size -= 3;
    text_.assign(text, text + size);
    text_.resize(size + mtrank::kTextPadding);
    mtrank::index_records(text_.data(), size, {}, index_);
    if (index_.unclosed) throw DataError("the text ends inside quotes");
    if (index_.rows.empty()) throw DataError("the text is empty, expected a header line with the names of the columns");
    fields_ = index_.rows[0].fields;
  }
  size_t rows() const { return index_.rows.size(); }
  size_t fields() const { return fields_; }
  std::vector<std::string_view> row(size_t r) {
    const auto& row = index_.rows[r];
    if (row.fields != fields_) {
      throw DataError("row " + std::to_string(r - 1) + ": found " + std::to_string(row.fields) + " fields, expected " +
                      std::to_string(fields_));
    }
    std::vector<std::string_view> values;
    uint32_t begin = row.start;
    for (uint32_t f = 0; f < row.fields; ++f) {
      const uint32_t end = index_.ends[row.first + f];
      const bool cr = f + 1 == row.fields && end > begin && text_[end - 1] == '\r';
      values.push_back(unquoted(text_.data() + begin, text_.data() + end - cr));
      begin = end + 1;
    }
    return values;
  }

 private:
  static std::string_view unquoted(char* begin, char* end) {
    if (begin == end || *begin != '"') return {begin, static_cast<size_t>(end - begin)};
    char* out = begin;
    const char* in = begin + 1;
    for (; in < end; *out++ = *in++) {
      if (*in == '"' && (in + 1 == end || *(in + 1) != '"')) break;
      if (*in == '"') ++in;
    }
    if (in + 1 != end) throw DataError("a field goes on after its closing quote: " + std::string(begin, end));
    return {begin, static_cast<size_t>(out - begin)};
  }

  std::vector<char> text_;
  mtrank::CsvIndex index_;
  uint32_t fields_ = 0;
};

std::vector<float> score_csv(mtrank::Scorer& scorer, const char* text, size_t size, size_t& rows) {
  CsvFields csv(text, size);
  const std::vector<std::string_view> header = csv.row(0);
  std::vector<size_t> positions;
  for (const std::string& column : scorer.columns()) {
    const auto found = std::find(header.begin(), header.end(), column);
    if (found == header.end()) throw DataError("the text has no column '" + column + "', which the model reads");
    if (std::find(found + 1, header.end(), column) != header.end())
      throw DataError("the text has the column '" + column + "' twice");
    positions.push_back(static_cast<size_t>(found - header.begin()));
  }
  rows = csv.rows() - 1;
  std::vector<std::string_view> values;
  for (size_t r = 1; r < csv.rows(); ++r) {
    const std::vector<std::string_view> row = csv.row(r);
    for (const size_t position : positions) values.push_back(row[position]);
  }
  return scorer.score_rows(values);
}

}  // namespace

extern "C" {

int mtrank_load(const char* path, int threads, mtrank_model** model) {
  *model = nullptr;
  return guarded([&] {
    if (threads < 1 || threads > mtrank::kMaxThreads)
      throw mtrank::ConfigError("threads is " + std::to_string(threads) + ", expected 1 to " +
                                std::to_string(mtrank::kMaxThreads));
    if (!path) throw mtrank::ConfigError("path is NULL, expected the path of a bundle");
    *model = new mtrank_model{mtrank::Scorer(mtrank::read_bundle(path), threads)};
  });
}

void mtrank_free(mtrank_model* model) { delete model; }

size_t mtrank_columns(const mtrank_model* model) { return model->scorer.columns().size(); }
const char* mtrank_column(const mtrank_model* model, size_t column) {
  return column < mtrank_columns(model) ? model->scorer.columns()[column].c_str() : nullptr;
}
size_t mtrank_outputs(const mtrank_model* model) { return model->scorer.outputs().size(); }
const char* mtrank_output(const mtrank_model* model, size_t output) {
  return output < mtrank_outputs(model) ? model->scorer.outputs()[output].c_str() : nullptr;
}

int mtrank_score(mtrank_model* model, const char* const* values, const size_t* sizes, size_t rows, float* scores) {
  return guarded([&] {
    std::vector<std::string_view> views;
    const size_t columns = mtrank_columns(model);
    if (columns > 0 && rows > views.max_size() / columns) throw std::bad_alloc();
    views.resize(rows * columns);
    for (size_t i = 0; i < views.size(); ++i)
      if (values[i]) views[i] = {values[i], sizes ? sizes[i] : std::strlen(values[i])};
    const std::vector<float> result = model->scorer.score_rows(views);
    std::copy(result.begin(), result.end(), scores);
  });
}

int mtrank_score_csv(mtrank_model* model, const char* text, size_t size, float** scores, size_t* rows) {
  *scores = nullptr;
  *rows = 0;
  return guarded([&] {
    size_t count = 0;
    const std::vector<float> result = score_csv(model->scorer, text, size, count);
    *scores = new float[result.size()];
    std::copy(result.begin(), result.end(), *scores);
    *rows = count;
  });
}

void mtrank_free_scores(float* scores) { delete[] scores; }

const char* mtrank_last_error(void) { return last_error.c_str(); }

}  // extern "C"
