#!/usr/bin/env bash
# `make check`: builds the ci preset (warnings are errors), runs every test and ends with the line
# "N passed, N failed". The numbers count test cases; one program of tests holds many.
set -euo pipefail
cd "$(dirname "$0")/.."

# Ends with the closing line also when there was nothing to count.
give_up() {
    echo "make check: $1" >&2
    echo "0 passed, 1 failed"
    exit 1
}

cmake --preset ci || give_up "CMake failed"
cmake --build --preset ci || give_up "the build failed"

cores=$(nproc)
status=0
# Tests run side by side, so idle threads of one must not spin on the cores of another.
OMP_WAIT_POLICY=passive ctest --test-dir build-ci --output-on-failure --no-tests=error -j "$cores" || status=$?
log=build-ci/Testing/Temporary/LastTest.log
[ -f "$log" ] || give_up "no test was run"
tools/count_tests.awk "$log" || status=1
exit "$status"
