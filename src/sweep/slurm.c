/* slurm.c - the script of a job array. */
#include "sweep/slurm.h"

#include <string.h>

#include "base/file.h"

/* 'word' as bash reads it back: a quote becomes '\''. */
static mq_status quoted(mq_outfile *file, const char *word, mq_error *error) {
    MQ_TRY(mq_outfile_write(file, "'", 1, error));
    for (const char *c = word; *c; c++)
        MQ_TRY(*c == '\'' ? mq_outfile_write(file, "'\\''", 4, error) : mq_outfile_write(file, c, 1, error));
    return mq_outfile_write(file, "'", 1, error);
}

static mq_status lines(mq_outfile *file, const char *path, const mq_sweep *sweep, const char *program,
                       const char *here, const char *out, int threads, bool twice, mq_error *error) {
    MQ_TRY(mq_outfile_printf(
        file, error,
        "#!/bin/bash\n"
        "#SBATCH --job-name=mixq-sweep\n"
        "#SBATCH --array=1-%d\n"
        "#SBATCH --ntasks=1\n"
        "#SBATCH --cpus-per-task=%d\n"
        "#SBATCH --requeue\n"
        "#SBATCH --open-mode=append\n"
        "#SBATCH --signal=B:TERM@120\n"
        "# A task is a point of the sweep. Two minutes before its time is up it saves and ends; submitted "
        "again, it goes on.\n",
        sweep->count, threads));
    if (twice)
        MQ_TRY(mq_outfile_printf(file, error,
                                 "# Which searches are trained is known when all have ended: submit twice,\n"
                                 "#   job=$(sbatch --parsable %s) && sbatch --dependency=afterany:$job %s\n",
                                 path, path));
    MQ_TRY(mq_outfile_printf(file, error, "# Then, anywhere: mixq pareto --out FOLDER --collect\n"));
    for (int i = 0; i < sweep->count; i++)
        MQ_TRY(mq_outfile_printf(file, error, "# %4d  %s\n", i + 1, sweep->point[i].name));
    MQ_TRY(mq_outfile_printf(file, error, "set -eu\ncd "));
    MQ_TRY(quoted(file, here, error));
    MQ_TRY(mq_outfile_printf(file, error, "\nexec "));
    MQ_TRY(quoted(file, program, error));
    MQ_TRY(mq_outfile_printf(file, error, " pareto --out "));
    MQ_TRY(quoted(file, out, error));
    return mq_outfile_printf(
        file, error, " --point \"$SLURM_ARRAY_TASK_ID\" --threads \"${SLURM_CPUS_PER_TASK:-%d}\"\n", threads);
}

mq_status mq_slurm_write(const char *path, const mq_sweep *sweep, const char *program, const char *here,
                         const char *out, int threads, bool twice, mq_error *error) {
    mq_outfile *file;
    if (strpbrk(here, "\n") || strpbrk(out, "\n") || strpbrk(program, "\n") || strpbrk(path, "\n"))
        return mq_fail(error, MQ_USAGE, "--slurm: paths with line breaks cannot be written into a script");
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_status status = lines(file, path, sweep, program, here, out, threads, twice, error);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}
