#!/usr/bin/env bash
# The order of the house, read from the files: check_house.sh [ROOT]
#   - a module includes only itself and what CMakeLists.txt's mixq_module(... USES ...) grants it, and only modules that
#     stand above it there (no circles); src/cli may include all; every folder of src/ has its row
#   - oneDNN's header in src/dnn only, MPI's in src/ranks
#   - memory from base/memory.h: no malloc outside src/base; the library never prints or exits: that is src/cli's
#   - file names unique in src/, no file of C above 800 lines
#   - every header guarded by MIXQ_<PATH>_H
#   - no paths of one machine and no marks of unfinished work in what is shipped
# Prints one line per fault and fails when there is one.
set -uo pipefail
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$root" || exit 2
faults=0
fault() {
    echo "$*"
    faults=$((faults + 1))
}

# The table: uses[module] = " a b c ", in the file's order.
declare -A uses=()
while read -r module rest; do
    for use in $rest; do
        [ -n "${uses[$use]+x}" ] || fault "CMakeLists.txt: $module uses $use, which does not stand above it"
    done
    uses[$module]=" $rest "
done < <(tr '\n' ' ' <CMakeLists.txt | grep -oE 'mixq_module\([^)]*\)' |
    sed -E 's/mixq_module\(//; s/\)//; s/ LIBS .*//; s/ USES / /')
[ ${#uses[@]} -gt 0 ] || fault "CMakeLists.txt: no mixq_module rows found"

for folder in src/*/; do
    module=$(basename "$folder")
    [ "$module" = cli ] || [ -n "${uses[$module]+x}" ] || fault "src/$module: no row in CMakeLists.txt"
done

while IFS=: read -r file line text; do
    module=${file#src/}
    module=${module%%/*}
    header=${text#*\"}
    header=${header%%\"*}
    used=${header%%/*}
    if [ "$used" = "$header" ]; then
        fault "$file:$line: \"$header\": write it as \"module/file.h\""
    elif [ ! -f "src/$header" ]; then
        fault "$file:$line: \"$header\" is not in src/"
    elif [ "$module" != cli ] && [ "$used" != "$module" ] && [[ "${uses[$module]-}" != *" $used "* ]]; then
        fault "$file:$line: $module may not include $used ($header)"
    fi
done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' src)

while IFS=: read -r file line _; do
    case $file in
    src/dnn/*) ;;
    *) fault "$file:$line: oneDNN belongs to src/dnn alone" ;;
    esac
done < <(grep -rnE '#[[:space:]]*include[[:space:]]*[<"](oneapi/)?[a-z/]*dnnl' src)

while IFS=: read -r file line _; do
    case $file in
    src/ranks/*) ;;
    *) fault "$file:$line: MPI belongs to src/ranks alone" ;;
    esac
done < <(grep -rnE '#[[:space:]]*include[[:space:]]*[<"]mpi\.h' src)

# Calls, not words in comments.
calls() {
    grep -rnE "(^|[^A-Za-z0-9_>.\"])($1)[[:space:]]*\(" src --include='*.c' --include='*.h' |
        grep -vE '^[^:]*:[0-9]+:[[:space:]]*(/?\*|//)'
}
while IFS=: read -r file line _; do
    case $file in
    src/base/*) ;;
    *) fault "$file:$line: memory comes from base/memory.h" ;;
    esac
done < <(calls 'malloc|calloc|realloc')
while IFS=: read -r file line _; do
    case $file in
    src/cli/*) ;;
    *) fault "$file:$line: the library neither prints nor exits" ;;
    esac
done < <(calls 'printf|puts|putchar|fprintf|exit|_exit|abort')

while read -r name; do
    fault "src: two files are named $name"
done < <(find src -type f -exec basename {} \; | sort | uniq -d)

while read -r lines file; do
    [ "$lines" -le 800 ] || fault "$file: $lines lines, at most 800 expected"
done < <(find src tests bench -name '*.[ch]' -exec wc -l {} \; 2>/dev/null)

while read -r header; do
    guard=${header#src/}
    guard=${guard//[\/.]/_}
    guard=MIXQ_${guard^^}
    grep -qx "#ifndef $guard" "$header" && grep -qx "#define $guard" "$header" ||
        fault "$header: include guard $guard expected"
done < <(find src -name '*.h')

# Brackets in the patterns keep this file from matching itself.
while IFS=: read -r file line _; do
    fault "$file:$line: a path of one machine"
done < <(grep -rnE '(^|[^A-Za-z0-9._-])/(wor[k]|tm[p]|hom[e])/' src docs models factors CMakeLists.txt cmake ./*.md 2>/dev/null)
while IFS=: read -r file line _; do
    fault "$file:$line: a mark of unfinished work"
done < <(grep -rnwE 'TOD[O]|FIXM[E]|XX[X]|HAC[K]' src tests docs cmake tools CMakeLists.txt ./*.md 2>/dev/null)

[ "$faults" -eq 0 ] || {
    echo "$faults faults"
    exit 1
}
echo "the house is in order: ${#uses[@]} modules"
