/* pack_request.h - what the words of `mixq pack` share. */
#ifndef MIXQ_CLI_PACK_REQUEST_H
#define MIXQ_CLI_PACK_REQUEST_H

#include "cli/cli.h"
#include "pack/built.h"
#include "pack/plan.h"
#include "pack/proof.h"

enum { PACK_TABLE_VECTORS = 4096, PACK_LOWEST_BITS = 2 };

extern const char *const PACK_CLASSES[]; /* by mq_pack_class - 1 */
extern const char *const PACK_RANGES[];  /* by symmetric */

mq_status pack_read_request(const cli_args *args, mq_pack_request *out, mq_error *error) MQ_MUST_CHECK;
/* MQ_USAGE unless --wbit, --abit and --kernel are given. */
mq_status pack_one_cell(const cli_args *args, mq_error *error) MQ_MUST_CHECK;
/* Proves every part; the counts added up. */
mq_status pack_prove_plan(const mq_pack_plan *plan, uint64_t vectors, uint64_t seed, mq_proof *out,
                          mq_error *error) MQ_MUST_CHECK;
/* A new reference. proof, built: NULL = null there. */
json_t *pack_cell_json(const mq_pack_request *request, const mq_pack_plan *plan, const mq_proof *proof,
                       const mq_pack_built *built);

/* One file each. */
mq_status pack_run_table(const cli_args *args, mq_error *error) MQ_MUST_CHECK;
mq_status pack_run_show(const cli_args *args, mq_error *error) MQ_MUST_CHECK;
mq_status pack_run_pareto(const cli_args *args, mq_error *error) MQ_MUST_CHECK;
mq_status pack_run_known(const cli_args *args, mq_error *error) MQ_MUST_CHECK;
mq_status pack_run_verify(const cli_args *args, mq_error *error) MQ_MUST_CHECK;

#endif
