/* launch.c - Open MPI, MPICH's hydra, Slurm. */
#include "sweep/launch.h"

#include <stdlib.h>

#include "base/text.h"

static int number(const char *name, int least, int other) {
    const char *text = name ? getenv(name) : NULL;
    int64_t value;
    return text && mq_parse_int(text, &value) && value >= least && value <= 1 << 24 ? (int)value : other;
}

mq_launch mq_launch_get(void) {
    static const struct {
        const char *rank, *size, *local;
    } known[] = {
        {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"},
        {"PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"},
        /* a batch script itself has SLURM_PROCID 0 */
        {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", NULL}, /* which binds tasks to cores itself */
    };
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
        const mq_launch l = {number(known[i].rank, 0, -1), number(known[i].size, 1, 0),
                             number(known[i].local, 1, 1)};
        if (l.rank >= 0 && l.rank < l.size) return l;
    }
    return (mq_launch){0, 1, 1};
}
