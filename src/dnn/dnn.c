/* dnn.c - the oneDNN context: engine, stream, shared scratch, and what the library says about itself and the
 * CPU. */
#include "dnn/dnn_internal.h"

#include <oneapi/dnnl/dnnl_debug.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

#include "base/memory.h"

static bool has_isa(dnnl_cpu_isa_t wanted) {
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)wanted) == (unsigned)wanted;
}

bool mq_dnn_has_bf16(void) {
    return has_isa(dnnl_cpu_isa_avx512_core_bf16);
}

/* Intel's cores with tiles (Sapphire Rapids and later, which all have AVX512_FP16) run VDPBF16PS once in two
 * cycles, a product of float32 twice in one: half the speed, where a virtual machine hides the tiles. AMD's
 * and Cooper Lake run it at the speed that its name promises. */
bool mq_dnn_slow_dots(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    enum { LEAF = 7, FP16 = 1 << 23 };
    unsigned a, b, c, d;
    return mq_dnn_has_bf16() && !mq_dnn_has_amx() && __builtin_cpu_is("intel") &&
           __get_cpuid_count(LEAF, 0, &a, &b, &c, &d) && (d & FP16);
#else
    return false;
#endif
}

bool mq_dnn_has_codes(void) {
    return has_isa(dnnl_cpu_isa_avx512_core_vnni);
}

bool mq_dnn_has_amx(void) {
    return has_isa(dnnl_cpu_isa_avx512_core_amx);
}

const char *mq_dnn_isa(void) {
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {
        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
        {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
        {dnnl_cpu_isa_avx512_core, "avx512_core"},
        {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
        {dnnl_cpu_isa_avx2, "avx2"},
        {dnnl_cpu_isa_avx, "avx"},
        {dnnl_cpu_isa_sse41, "sse41"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (has_isa(names[i].isa)) return names[i].name;
    return "generic";
}

#define TEXT_OF(x)       #x
#define VERSION(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)

const char *mq_dnn_version(void) {
    return VERSION(DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH);
}

mq_status mq_dnn_fail(dnnl_status_t result, const char *call, const mq_dnn_conv_spec *spec, mq_error *error) {
    char text[MQ_DNN_SPEC_TEXT];
    if (!spec) return mq_fail(error, MQ_INTERNAL, "%s: %s", call, dnnl_status2str(result));
    return mq_fail(error, MQ_INTERNAL, "%s: %s: %s", call, mq_dnn_spec_text(spec, text),
                   dnnl_status2str(result));
}

static mq_status open_engine(mq_dnn *dnn, mq_error *error) {
    const dnnl_version_t *version = dnnl_version();
    if (version->major != DNNL_VERSION_MAJOR || version->minor < DNNL_VERSION_MINOR)
        return mq_fail(error, MQ_INTERNAL, "oneDNN: got version %d.%d.%d, expected %s", version->major,
                       version->minor, version->patch, mq_dnn_version());
    MQ_DNN_TRY(dnnl_engine_create, NULL, error, &dnn->engine, dnnl_cpu, 0);
    MQ_DNN_TRY(dnnl_stream_create, NULL, error, &dnn->stream, dnn->engine, dnnl_stream_default_flags);
    return MQ_OK;
}

mq_status mq_dnn_create(mq_dnn **out, mq_error *error) {
    mq_dnn *dnn = NULL;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *dnn, "oneDNN context", &dnn, error));
    mq_status status = open_engine(dnn, error);
    if (status != MQ_OK) {
        mq_dnn_destroy(dnn);
        return status;
    }
    *out = dnn;
    return MQ_OK;
}

void mq_dnn_destroy(mq_dnn *dnn) {
    if (!dnn) return;
    if (dnn->stream) dnnl_stream_destroy(dnn->stream);
    if (dnn->engine) dnnl_engine_destroy(dnn->engine);
    mq_free(dnn->scratch);
    mq_free(dnn->widened);
    mq_free(dnn);
}

size_t mq_dnn_scratch_bytes(const mq_dnn *dnn) {
    return dnn->scratch_bytes + dnn->widened_bytes;
}

static mq_status reserve(void **memory, size_t *have, size_t bytes, mq_error *error) {
    if (bytes <= *have) return MQ_OK;
    void *grown = NULL;
    MQ_TRY(mq_alloc(bytes, 1, "a convolution's scratch", &grown, error));
    mq_free(*memory);
    *memory = grown;
    *have = bytes;
    return MQ_OK;
}

mq_status mq_dnn_reserve(mq_dnn *dnn, size_t bytes, mq_error *error) {
    return reserve(&dnn->scratch, &dnn->scratch_bytes, bytes, error);
}

mq_status mq_dnn_reserve_widened(mq_dnn *dnn, size_t bytes, mq_error *error) {
    return reserve(&dnn->widened, &dnn->widened_bytes, bytes, error);
}
