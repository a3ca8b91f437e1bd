/* import.h - checkpoints of the published framework (AnyPackingNet), as .pt or .safetensors, onto our
 * networks.
 *
 * The published names are module paths ("layers.3.conv.weight"); only their order and shapes are used, so one
 * rule serves every model: modules sorted in natural order of their path, the n-th with a 4-dimensional
 * weight is the n-th conv layer, the n-th with a 2-dimensional one the n-th linear layer, the n-th with a
 * 1-dimensional one the n-th batch norm. Wrappers inside a layer (conv, linear, mix_weight, mix_activ,
 * conv_list.<branch>) do not count as modules; size_product, memory_size, in_width and num_batches_tracked
 * are ignored. */
#ifndef MIXQ_NET_IMPORT_H
#define MIXQ_NET_IMPORT_H

#include "io/pt.h"
#include "io/safetensors.h"
#include "net/bits.h"
#include "net/net.h"
#include "net/params.h"

/* For each parameter of our list, its values in the published file. */
typedef struct mq_import_map {
    mq_param_spec *specs; /* mq_params_list; owned */
    const mq_st_entry *
        *entries; /* [count], float32 of the spec's shape, borrowed from the file; NULL: not there */
    int count;
} mq_import_map;

/* Maps the tensors of a .safetensors file whose names start with prefix ("" = all, "grad." = gradients under
 * published names). partial: running statistics may be missing; else every parameter is there. Every mismatch
 * (count, shape, dtype, a tensor of no use) is MQ_BAD_INPUT and named. The file must outlive the map. */
mq_status mq_import_map_file(const mq_st_file *file, const char *prefix, const mq_net *net, mq_mode mode,
                             bool share, bool partial, mq_import_map *out, mq_error *error) MQ_MUST_CHECK;
void mq_import_map_free(mq_import_map *map);
/* The values of one parameter (branch -1 unless weights are not shared), or NULL. */
const float *mq_import_values(const mq_import_map *map, int node, mq_param_kind kind, int branch);

typedef struct mq_imported {
    mq_net *net;
    mq_mode mode;
    bool share;
    mq_bits bits;  /* fixed: as the file says; search: the most probable; float: unused */
    int64_t epoch; /* finished epochs as the file says, or 0 */
    mq_import_map map;
    mq_pt_file *pt; /* the file that the map borrows from: one of the two */
    mq_st_file *st;
} mq_imported;

/* path: .pt, .pth or .safetensors. model: a name or description (mq_net_open), or NULL: from the file's
 * metadata
 * (.safetensors), else the one built-in network of HWGQ, the published searches' family, that fits the
 * tensors. All values are finite, variances not negative. */
mq_status mq_import_open(const char *path, const char *model, mq_imported *out,
                         mq_error *error) MQ_MUST_CHECK;
void mq_imported_free(mq_imported *imported);
/* Writes it as a checkpoint of ours (checkpoint.h), atomically; its epoch is 0: training of ours starts
 * there. */
mq_status mq_import_save(const mq_imported *imported, const char *path, mq_error *error) MQ_MUST_CHECK;

#endif
