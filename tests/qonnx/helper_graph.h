/* helper_graph.h - small QONNX graphs for tests, their plain evaluation in float64 by the operators'
 * published definitions (ONNX Operators.md; QONNX's Quant), and the same through import, lowering and
 * simulation. */
#ifndef MIXQ_TESTS_QONNX_HELPER_GRAPH_H
#define MIXQ_TESTS_QONNX_HELPER_GRAPH_H

#include "io/onnx.h"
#include "net/checkpoint.h"

/* ---- building; values are random but the same in every run ---- */

extern mq_onnx_writer *graph; /* the one being built */

void graph_begin(const char *input, mq_shape shape);
void graph_real(const char *name, mq_shape shape, float low, float high); /* uniform */
void graph_values(const char *name, mq_shape shape, const float *values);
void graph_whole(const char *name, int count, const int64_t *values);
/* inputs: names separated by spaces. */
mq_onnx_new_node *graph_node(const char *domain, const char *op, const char *name, const char *inputs,
                             const char *output);
/* Quant named name of input: output <name>; scale as a scalar tensor. */
void graph_quant(const char *name, const char *input, float scale, int bits, bool is_signed, bool narrow);
/* BatchNormalization <name> of c channels; gamma from low to high. */
void graph_norm(const char *name, const char *input, int c, float low, float high);
void graph_end(const char *output, mq_shape shape, const char *path);

/* A network with most kinds of nodes; tests/qonnx/files/small.onnx is one. */
void graph_small(const char *path);

/* ---- using ---- */

/* Imports path and loads the checkpoint; fails the test when that fails. */
void graph_import(const char *path, mq_checkpoint *out);
/* The file is refused with all '|'-separated words in the message. */
void graph_refused(const char *path, const char *words);
/* Imports, lowers, simulates count random inputs of the given spread and compares every output with the plain
 * evaluation: relative difference at most 1e-5. Inputs [count] of the graph's input shape. */
void graph_agrees(const char *path, int count, float spread);

/* Evaluates the model on x; out [count of the output]. */
void graph_evaluate(const mq_onnx_model *model, const float *x, double *out, size_t most, size_t *count);

#endif
