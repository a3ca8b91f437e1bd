#!/usr/bin/env bash
# Coverage-guided fuzzing (libFuzzer, clang): tools/fuzz.sh [SECONDS (60)] [packing|onnx (both)]; the corpora stay in build-fuzz/.
#   packing  bytes become packings and operands; what is accepted must survive encode, slice and decode
#   onnx     bytes are an ONNX file; it is imported, or refused with a message
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
which=${2:-packing onnx}
flags=(-O1 -g -DMIXQ_FUZZER -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE -std=gnu17
       -ffp-contract=off -Isrc)

fuzz_packing() {
    mkdir -p build-fuzz/packing
    clang "${flags[@]}" tests/pack/test_fuzz_packing.c src/pack/{packing,codes,luts,dsp}.c src/base/status.c \
        -o build-fuzz/fuzz_packing
    build-fuzz/fuzz_packing -max_total_time="$seconds" -max_len=256 -artifact_prefix=build-fuzz/ build-fuzz/packing
}

fuzz_onnx() {
    mkdir -p build-fuzz/onnx build-fuzz/protobuf
    cp tests/qonnx/files/*.onnx build-fuzz/onnx # seeds
    protoc-c --c_out=build-fuzz/protobuf -I src/io src/io/onnx_subset.proto
    echo '#include "base/embedded.h"
const mq_embedded_file mixq_builtin_models[] = {{0}};' >build-fuzz/no_models.c
    clang "${flags[@]}" -DMIXQ_VERSION='"fuzz"' -Ibuild-fuzz/protobuf tests/qonnx/test_fuzz_onnx.c build-fuzz/no_models.c \
        build-fuzz/protobuf/onnx_subset.pb-c.c src/qonnx/{graph,constants,stream_nodes,layers,own_file,qonnx_import}.c \
        src/net/{net,parse,bits,params,checkpoint}.c src/quant/*.c \
        src/tensor/*.c src/base/*.c src/io/{onnx_read,onnx_write,yaml,yaml_values,safetensors_read,safetensors_write,json}.c \
        -fopenmp -lprotobuf-c -lyaml -ljansson -lmd -lm -o build-fuzz/fuzz_onnx
    build-fuzz/fuzz_onnx -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=4096 -artifact_prefix=build-fuzz/ build-fuzz/onnx
}

for target in $which; do
    "fuzz_$target"
done
