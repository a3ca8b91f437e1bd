/* qonnx_export.h - integer networks as QONNX, networks as plain ONNX.
 *
 * What is written computes exactly what the integer network does, in float32, in any order of summation:
 * weights and activations are whole numbers (Quant nodes of scale 1; the image's codes k >> (8-b) in steps of
 * 2^-b), so sums of products are exact below 2^24, and a requantisation is a batch norm, one float32 factor
 * and offset per channel, before a Quant. They are chosen as far from every rounding edge as the channel's
 * staircase allows, and then evaluated at both sides of every step, with and without a fused multiplication;
 * where float32 cannot follow, QUANT has a MultiThreshold node of whole thresholds, PLAIN a line in float64.
 * The real scales stand in the last node. Input: [1, C, H, W] float32, of pixels k/256. */
#ifndef MIXQ_QONNX_QONNX_EXPORT_H
#define MIXQ_QONNX_QONNX_EXPORT_H

#include "inet/inet.h"
#include "net/checkpoint.h"

/* QUANT: Quant nodes of domain qonnx.custom_op.general. PLAIN: the same with ONNX's own Clip and Round. */
typedef enum mq_onnx_flavour { MQ_ONNX_QUANT, MQ_ONNX_PLAIN } mq_onnx_flavour;

/* checkpoint: what the network was lowered from, carried along so that an import gives it back (QUANT), or
 * NULL. Atomic. A network by the published rules, or a layer of thresholds beyond 2^24, is MQ_BAD_INPUT and
 * named. *inexact (may be NULL): layers whose sums may leave 2^24. */
mq_status mq_qonnx_export(const mq_inet *net, const mq_checkpoint *checkpoint, mq_onnx_flavour flavour,
                          const char *path, int *inexact, mq_error *error) MQ_MUST_CHECK;

/* A float checkpoint, with ReLU and batch norms as trained. */
mq_status mq_onnx_export_float(const mq_checkpoint *checkpoint, const char *path,
                               mq_error *error) MQ_MUST_CHECK;

#endif
