/* rtl_scripts.c - see rtl_scripts.h. */
#include "gen/rtl_scripts.h"

#include <stdio.h>

#include "base/embedded.h"
#include "base/file.h"

enum { RESET_CYCLES = 80 }; /* longer than any pipeline without reset */

typedef mq_status print_file(const mq_build *b, int which, mq_outfile *file, mq_error *error);

static mq_status write_file(const mq_build *b, const char *dir, const char *name, int which,
                            print_file *print, mq_error *error) {
    char path[MQ_PATH];
    mq_outfile *file;
    MQ_TRY(mq_path_join(dir, name, path, error));
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_outfile_unsynced(file);
    mq_status status = print(b, which, file, error);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}

/* The constants of both benches; C: "#define NAME value", Verilog: "`define NAME value". */
static mq_status print_config(const mq_build *b, int verilog, mq_outfile *file, mq_error *error) {
    const char *mark = verilog ? "`" : "#";
    int widest = b->in_bits > b->out_bits ? b->in_bits : b->out_bits;
    if (verilog) MQ_TRY(mq_outfile_printf(file, error, "`define SIM_TOP %s\n", b->top));
    if (!verilog) MQ_TRY(mq_outfile_printf(file, error, "#define SIM_LINE %d\n", widest / 4 + 16));
    return mq_outfile_printf(file, error,
                             "%sdefine SIM_IN_BITS %d\n%sdefine SIM_OUT_BITS %d\n%sdefine SIM_IN_BEATS "
                             "%lld\n%sdefine SIM_OUT_BEATS "
                             "%lld\n%sdefine SIM_RESET %d\n",
                             mark, b->in_bits, mark, b->out_bits, mark, (long long)mq_stream_beats(&b->in),
                             mark, (long long)mq_stream_beats(&b->stage[b->count - 1].out), mark,
                             RESET_CYCLES);
}

static mq_status print_library(mq_outfile *file, mq_error *error) {
    for (const mq_embedded_file *f = mixq_rtl_library; f->name; f++)
        MQ_TRY(mq_outfile_printf(file, error, "read_verilog -defer rtl/%s\n", f->name));
    return MQ_OK;
}

/* One stage by itself; which = count: the top with its stages as black boxes. */
static mq_status print_yosys(const mq_build *b, int which, mq_outfile *file, mq_error *error) {
    const char *module = which < b->count ? b->stage[which].module : b->top;
    MQ_TRY(mq_outfile_printf(file, error, "# counts of %s: yosys -s synth/%s.ys, in the build folder\n",
                             module, module));
    MQ_TRY(print_library(file, error));
    for (int i = 0; which == b->count && i < b->count; i++)
        MQ_TRY(mq_outfile_printf(file, error, "read_verilog -lib rtl/%s.v\n", b->stage[i].module));
    return mq_outfile_printf(file, error,
                             "read_verilog rtl/%s.v\n"
                             "synth_xilinx -family xcup -flatten -noiopad -nosrl -top %s\n"
                             "tee -q -o %s.json stat -json -top %s\n",
                             module, module, module, module);
}

static mq_status print_vivado(const mq_build *b, int which, mq_outfile *file, mq_error *error) {
    (void)which;
    return mq_outfile_printf(
        file, error,
        "# Out of context, in the build folder: vivado -mode batch -source synth/vivado.tcl\n"
        "read_verilog [glob rtl/*.v]\n"
        "foreach memory [glob mem/*.hex] { read_mem $memory }\n"
        "synth_design -top %s -part %s -mode out_of_context\n"
        "create_clock -period %.3f -name aclk [get_ports aclk]\n"
        "report_utilization -hierarchical -file utilization_synth.rpt\n"
        "opt_design\nplace_design\nphys_opt_design\nroute_design\n"
        "report_utilization -file utilization.rpt\nreport_timing_summary -file timing.rpt\n"
        "write_checkpoint -force %s.dcp\n",
        b->top, b->part[0] ? b->part : "PART", 1e3 / b->clock_mhz, b->top);
}

mq_status mq_rtl_scripts_write(const mq_build *b, const char *dir, mq_error *error) {
    char path[MQ_PATH], name[MQ_BUILD_NAME + 16];
    MQ_TRY(mq_path_join(dir, "sim", path, error));
    MQ_TRY(mq_make_dirs(path, error));
    MQ_TRY(mq_path_join(dir, "synth", path, error));
    MQ_TRY(mq_make_dirs(path, error));
    MQ_TRY(write_file(b, dir, "sim/sim_config.h", 0, print_config, error));
    MQ_TRY(write_file(b, dir, "sim/sim_config.vh", 1, print_config, error));
    for (int i = 0; i <= b->count; i++) {
        snprintf(name, sizeof name, "synth/%s.ys", i < b->count ? b->stage[i].module : b->top);
        MQ_TRY(write_file(b, dir, name, i, print_yosys, error));
    }
    return write_file(b, dir, "synth/vivado.tcl", 0, print_vivado, error);
}
