#!/usr/bin/env bash
# `make check-deep`: what takes longer than CI should. Every step runs even when one before it failed; the output of each
# goes to build-deep/<step>.log, the end is a summary. check_deep.sh [STEP...] runs only some.
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p build-deep
cores=$(nproc)
results=()
bad=0
wanted=" $* "

step() {
    local name=$1 start=$SECONDS word=ok
    shift
    [ "$wanted" = "  " ] || [[ "$wanted" == *" $name "* ]] || return 0
    echo "== $name"
    if ! "$@" >"build-deep/$name.log" 2>&1 </dev/null; then
        word=FAILED
        bad=$((bad + 1))
        tail -n 30 "build-deep/$name.log"
    fi
    results+=("$(printf '%-12s %-7s %4d s  %s' "$name" "$word" $((SECONDS - start)) \
        "$(grep -E '^[0-9.]+ (passed|findings|kills in all|failures injected|% of)' "build-deep/$name.log" | tail -n 1)")")
    echo "   ${results[-1]}"
}

# The build of `make check`, or some of its targets.
build_ci() {
    cmake --preset ci && cmake --build --preset ci "$@"
}

# Configure, build and run the tests of a preset.
preset() {
    cmake --preset "$1" && cmake --build --preset "$1" || return 1
    OMP_WAIT_POLICY=passive ctest --test-dir "build-$1" --output-on-failure --no-tests=error -j "$cores"
    tools/count_tests.awk "build-$1/Testing/Temporary/LastTest.log"
}

# Address and undefined-behaviour sanitizers over the whole suite. oneDNN generates code at run time and is not
# instrumented: its own leaks, if any, are not ours to find.
asan() {
    ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 preset asan
}

# Data races of the deploy side and the data loader. Archer tells ThreadSanitizer how OpenMP's threads wait.
tsan() {
    local archer
    archer=$(find /usr/lib/llvm-*/lib -name libarcher.so 2>/dev/null | sort | tail -n 1)
    [ -n "$archer" ] || {
        echo "libarcher.so not found: libomp-dev is missing"
        return 1
    }
    OMP_TOOL_LIBRARIES=$archer TSAN_OPTIONS=ignore_noninstrumented_modules=1 preset tsan
}

# The program and its tests without oneDNN.
deploy() {
    preset deploy && ! ldd build-deploy/mixq | grep -q dnnl
}

# Training by several processes: the whole suite of a build with MPI would say nothing new of the rest.
mpi() {
    cmake --preset mpi && cmake --build --preset mpi || return 1
    OMP_WAIT_POLICY=passive ctest --test-dir build-mpi --output-on-failure --no-tests=error -L '^(mpi|ranks|train)$'
    tools/count_tests.awk build-mpi/Testing/Temporary/LastTest.log
}

# Reads of memory that was never written, in what reads files; slow, so only there.
memory() {
    cmake --preset deploy -DMIXQ_WERROR=ON && cmake --build --preset deploy || return 1
    (cd build-deploy/tests && for test in test_pt test_safetensors test_npy test_csv test_json test_yaml test_inet_files; do
        echo "$test"
        OMP_NUM_THREADS=1 valgrind --quiet --error-exitcode=9 "./$test" || exit 1
    done)
}

# A small flow of nearly every command: reads of what was never written, writes beyond, memory that nothing points to at
# the end. Valgrind shows the program a processor with AVX2 at most, so that oneDNN generates what it can follow; nothing
# needs to be excused.
valgrind_flow() {
    build_ci --target mixq || return 1
    tools/smoke.sh build-ci/mixq build-deep/smoke valgrind --quiet --error-exitcode=9 --leak-check=full \
        --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=20
}

# The integer network against the trained one evaluated exactly: every model, bits and seeds beyond what `make check` takes.
exact() {
    build_ci || return 1
    MIXQ_DEEP=1 OMP_WAIT_POLICY=passive build-ci/tests/test_exact_network
}

format() {
    git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror
}

tidy() {
    cmake --preset tidy && cmake --build --preset tidy --target protobuf/onnx_subset.pb-c.h || return 1
    git ls-files 'src/*.c' ':!src/ranks/ranks_mpi.c' | xargs -P "$cores" -n 1 clang-tidy --quiet -p build-tidy \
        --checks=-clang-analyzer-* 2>/dev/null
}

# What the analysers of both compilers find, beside what tools/analyzer_known.txt explains.
analyzer() {
    local bad=0
    tools/analyze.sh gcc || bad=1
    tools/analyze.sh clang || bad=1
    return $bad
}

# Lines of src/ that the tests reach, without those that take longest or run other programs.
coverage() {
    cmake --preset coverage && cmake --build --preset coverage || return 1
    find build-coverage -name '*.gcda' -delete
    OMP_WAIT_POLICY=passive ctest --test-dir build-coverage --output-on-failure --no-tests=error -j "$cores" -LE '^(reliability|install|house)$' \
        -E '^(gen\.rtl_layer|gen\.rtl_lut|gen\.rtl_units|gen\.accelerator|hls\.hls|hls\.hls_stages|hls\.standin|deploy\.cli_names)$' || return 1
    tools/coverage.sh 30
}

# invalidPointerCast: buffers are used again for another type on purpose. invalidFunctionArg: it cannot see that a sum
# of exponentials has the term exp(0).
cpp_check() {
    cppcheck -j "$cores" --quiet --enable=warning,portability --std=c11 -I src --inline-suppr --error-exitcode=1 \
        --suppress=invalidPointerCast --suppress=invalidFunctionArg src
}

# Repair logic and the units of rtl/ synthesised, against their LUT models and limits.
luts() {
    tests/gen/check_luts.sh && tests/gen/unit_luts.sh
}

# The five networks as accelerators: built, verified over 3 frames with and without stalls, synthesised.
accelerators() {
    build_ci || return 1
    tools/accelerators.sh
}

# Every packing proved again with 10^5 random vectors; `mixq pack verify --all` takes 10^7.
packings() {
    build_ci --target mixq || return 1
    build-ci/mixq pack verify --all --vectors 100000
}

# Whole networks through the HLS C++.
hls() {
    build_ci && tools/check_hls.sh
}

# The stand-ins of Vitis' types at every width, with sanitizers.
standin() {
    local compiler
    for compiler in g++ clang++; do
        "$compiler" -std=c++14 -O1 -Wall -Wextra -Werror -fsanitize=address,undefined -fno-sanitize-recover=all -Ihls/standin \
            tests/hls/standin_check.cpp -o build-deep/standin && build-deep/standin || return 1
    done
}

# A hundred layers of Verilog more than the tests have.
layers() {
    build_ci || return 1
    MIXQ_RTL_TEST=by_chance MIXQ_RTL_LAYERS=16 MIXQ_RTL_FROM=100 build-ci/tests/test_rtl_layer
}

# LUTs of four layers as Yosys maps them, against their goals.
layer_luts() {
    build_ci && tests/gen/rtl_luts.sh build-ci/tests/test_rtl_layer
}

# SIGKILL at every change of the file system and at 200 random moments; full disks, locks, signals, streams.
kills() {
    build_ci || return 1
    MIXQ_DEEP=1 OMP_WAIT_POLICY=passive build-ci/tests/test_kill && MIXQ_DEEP=1 OMP_WAIT_POLICY=passive build-ci/tests/test_hostile
}

# Every allocation and every call on files fails once.
inject() {
    build_ci || return 1
    MIXQ_DEEP=1 OMP_WAIT_POLICY=passive build-ci/tests/test_inject
}

# Every reader, coverage-guided, for some seconds; `tools/fuzz.sh 600` for longer.
fuzz() {
    tools/fuzz.sh 20
}

step asan asan
step tsan tsan
step deploy deploy
step mpi mpi
step memory memory
step valgrind valgrind_flow
step luts luts
step layers layers
step layer_luts layer_luts
step packings packings
step accelerators accelerators
step fuzz fuzz
step kill kills
step inject inject
step exact exact
step standin standin
step hls hls
step format format
step tidy tidy
step analyzer analyzer
step coverage coverage
step cppcheck cpp_check

echo
printf '%s\n' "${results[@]}"
[ "$bad" -eq 0 ]
