#ifndef MTRANK_C_H
#define MTRANK_C_H

#include <stddef.h>
#include <stdint.h>

/* Scoring from C, or from anything that can call C. Every function may be called from any thread; calls that score with
 * the same model wait for each other. Functions that return an int return 0, or the number that the command line exits
 * with (3 data, 4 bundle, 5 resources, 1 a bug); mtrank_last_error() then says what is wrong. */
#ifdef __cplusplus
extern "C" {
#endif

typedef struct mtrank_model mtrank_model;

/* Loads and checks a bundle. `threads`, 1 to 1024, share the rows of a call. */
int mtrank_load(const char* path, int threads, mtrank_model** model);
void mtrank_free(mtrank_model* model);

/* The columns a row needs and the scores it gets, by number; NULL past the end. Texts live as long as the model. */
size_t mtrank_columns(const mtrank_model* model);
const char* mtrank_column(const mtrank_model* model, size_t column);
size_t mtrank_outputs(const mtrank_model* model);
const char* mtrank_output(const mtrank_model* model, size_t output);

/* Scores rows of text. `values` [rows][columns], in the order of mtrank_column, NULL for an empty field; `sizes` their
 * lengths in bytes, or NULL when they end in 0. `scores` [rows][outputs] belongs to the caller. */
int mtrank_score(mtrank_model* model, const char* const* values, const size_t* sizes, size_t rows, float* scores);

/* Scores CSV text (commas, RFC 4180): a header line that names at least the model's columns, once each, then the rows.
 * `scores` is allocated here and freed by mtrank_free_scores. */
int mtrank_score_csv(mtrank_model* model, const char* text, size_t size, float** scores, size_t* rows);
void mtrank_free_scores(float* scores);

/* Of the last call of this thread that failed; "" when none has. Valid until the thread's next call. */
const char* mtrank_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
