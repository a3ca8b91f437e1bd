#!/usr/bin/env bash
# Line coverage of src/*.c after the tests of the preset `coverage` have run: the N (20) files least covered, then all of
# src/ in one line. tools/coverage.sh [N] [FOLDER (build-coverage)]
set -euo pipefail
cd "$(dirname "$0")/.."
most=${1:-20}
folder=${2:-build-coverage}
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
# The modules and the program; harnesses and tests have copies of some files.
find "$folder/CMakeFiles" -path '*/mixq*.dir/src/*.gcno' -print0 | xargs -0 gcov --no-output 2>/dev/null |
    awk -v root="$PWD/" -v quote="'" '
        /^File / { file = $0; sub(/^File ./, "", file); sub(quote "$", "", file); sub("^" root, "", file) }
        /^Lines executed:/ && file ~ /^src\/.*\.c$/ {
            split($0, part, /[:% ]+/)
            print part[3], part[5], file
            file = ""
        }
        /^No executable lines/ { file = "" }' | sort -n >"$rows"
[ -s "$rows" ] || {
    echo "coverage: nothing in $folder" >&2
    exit 1
}
printf '%7s %6s  %s\n' 'lines %' lines file
head -n "$most" "$rows" | awk '{ printf "%7.1f %6d  %s\n", $1, $2, $3 }'
awk '{ lines += $2; met += $1 / 100 * $2 } END { printf "%.1f %% of %d lines in %d files\n", 100 * met / lines, lines, NR }' "$rows"
