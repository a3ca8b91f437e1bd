#!/usr/bin/env bash
# Coverage-guided fuzzing of the packings (libFuzzer, clang): bytes become packings and operands; what is accepted must
# survive encode, slice and decode. tools/fuzz.sh [SECONDS (60)]; the corpus stays in build-fuzz/.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
mkdir -p build-fuzz/packing
clang -O1 -DMIXQ_FUZZER -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Isrc tests/pack/test_fuzz_packing.c \
    src/pack/{packing,codes,luts,dsp}.c src/base/status.c -o build-fuzz/fuzz_packing
build-fuzz/fuzz_packing -max_total_time="$seconds" -max_len=256 -artifact_prefix=build-fuzz/ build-fuzz/packing
