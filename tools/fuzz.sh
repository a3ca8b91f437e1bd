#!/usr/bin/env bash
# Coverage-guided fuzzing of the readers (libFuzzer, clang): tools/fuzz.sh [SECONDS (60)] [HARNESS... (all of tests/fuzz)].
# Each begins with its committed corpus and what earlier runs left in build-fuzz/corpus; a finding is written to
# build-fuzz/findings and ends the script with 1. Minimise it (the program, -minimize_crash=1 FILE), mend the reader and
# put the file into tests/fuzz/corpus/HARNESS. MIXQ_FUZZ_BUILT=1: the programs are built already.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
harnesses=("$@")
if [ ${#harnesses[@]} -eq 0 ]; then
    for folder in tests/fuzz/corpus/*/; do harnesses+=("$(basename "$folder")"); done
fi
if [ "${MIXQ_FUZZ_BUILT:-}" != 1 ]; then
    cmake --preset fuzz >/dev/null && cmake --build --preset fuzz || exit 2
fi
# Long enough for the files of the corpus; memory as a small file may ask for at most.
declare -A longest=([packing]=256 [arguments]=2048 [voc]=4096 [device]=4096 [jpeg]=4096 [png]=4096 [cifar]=1024)
mkdir -p build-fuzz/findings
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:allocator_may_return_null=0 UBSAN_OPTIONS=print_stacktrace=1
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
bad=0
for name in "${harnesses[@]}"; do
    mkdir -p "build-fuzz/corpus/$name"
    log=build-fuzz/$name.log
    build-fuzz/tests/fuzz/"fuzz_$name" -max_total_time="$seconds" -max_len="${longest[$name]:-16384}" -timeout=20 \
        -rss_limit_mb=1024 -malloc_limit_mb=512 -print_final_stats=1 -verbosity=1 -close_fd_mask=1 \
        -artifact_prefix="build-fuzz/findings/$name-" "build-fuzz/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1 ||
        { bad=1 && grep -E 'ERROR|SUMMARY|runtime error|Test unit' "$log"; }
    printf '%-16s %s\n' "$name" "$(awk '
        /cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "ft:") ft = $(i + 1) } }
        /number_of_executed_units/ { runs = $2 }
        END { printf "%d executions, %d edges, %d features", runs, cov, ft }' "$log")"
done
exit $bad
