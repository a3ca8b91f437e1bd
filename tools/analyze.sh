#!/usr/bin/env bash
# Static analysis of src/ that knows what was read before: tools/analyze.sh gcc|clang [FILE... (all of src)].
#   gcc     gcc -fanalyzer
#   clang   the clang-analyzer-* checks of clang-tidy
# Findings go by file, function and check, not by line. Those of tools/analyzer_known.txt are explained there; any other
# ends the script with 1, and one that no longer appears is named, so that its row can go.
set -uo pipefail
cd "$(dirname "$0")/.."
tool=${1:-}
[ "$tool" = gcc ] || [ "$tool" = clang ] || {
    echo "usage: tools/analyze.sh gcc|clang [FILE...]" >&2
    exit 2
}
shift
files=("$@")
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(git ls-files 'src/*.c' ':!src/ranks/ranks_mpi.c')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p build-deep
log=build-deep/analyze-$tool.txt # all that was said, paths included
# The header that protobuf's compiler makes.
{ cmake --preset ci && cmake --build --preset ci --target protobuf/onnx_subset.pb-c.h; } >"$work/cmake" 2>&1 || {
    cat "$work/cmake"
    exit 2
}

# One file; what the analysers need to know of other files is in analyzer.h, whose own subjects go without.
cat >"$work/one" <<'END'
ulimit -t 60 # of a processor's time: some inlined loops have too many paths
file=$2
flags=(-DMIXQ_VERSION='"x"' -DMIXQ_TRAIN=1 -D_GNU_SOURCE -std=c17 -O2 -ffp-contract=off -fopenmp -Isrc -isystem build-ci/protobuf)
case $file in
src/base/status.c) ;;
src/dnn/dnn.c | src/io/yaml_values.c | src/qonnx/graph.c) flags+=(-DANALYZER_WITHOUT_ROOMS -include tools/analyzer.h) ;;
src/base/memory.c) flags+=(-DANALYZER_WITHOUT_MEMORY -include tools/analyzer.h) ;;
*) flags+=(-include tools/analyzer.h) ;;
esac
if [ "$1" = gcc ]; then
    gcc "${flags[@]}" -fanalyzer -fdiagnostics-plain-output -S -o /dev/null "$file" || echo "$file: not finished"
else
    clang-tidy --quiet --checks='-*,clang-analyzer-*,-clang-analyzer-security.insecureAPI.*,-clang-analyzer-optin.performance.*,-clang-analyzer-valist.*' \
        "$file" -- "${flags[@]}" || echo "$file: not finished"
fi
END
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 1 bash "$work/one" "$tool" >"$log" 2>&1
grep -E 'warning: |error: |: not finished' "$log" | sort -u

# file function check, the function being what begins at the margin above the line.
awk -v root="$PWD/" -v tool="$tool" '
    /: not finished$/ { print tool, substr($1, 1, length($1) - 1), "-", "not-finished"; next }
    /: warning: / {
        split($0, part, ":")
        file = part[1]
        sub("^" root, "", file)
        check = $0
        sub(/.*\[/, "", check)
        sub(/\].*/, "", check)
        name = "-"
        for (n = 1; n <= part[2] + 0 && (getline text < part[1]) > 0; n++)
            if (text ~ /^[A-Za-z_].*\(/ && text !~ /;$/) {
                name = text
                sub(/\(.*/, "", name)
                sub(/.*[ *]/, "", name)
            }
        close(part[1])
        print tool, file, name, check
    }' "$log" | sort -u >"$work/found"
grep -v '^#' tools/analyzer_known.txt | awk -v tool="$tool" '$1 == tool { print $1, $2, $3, $4 }' | sort -u >"$work/known"
comm -13 "$work/known" "$work/found" >"$work/new"
if [ $# -eq 0 ]; then
    comm -23 "$work/known" "$work/found" | sed 's/^/no longer found: /'
fi
sed 's/^/new: /' "$work/new"
echo "$(wc -l <"$work/new") findings beside $(comm -12 "$work/known" "$work/found" | wc -l) known ones"
[ ! -s "$work/new" ]
