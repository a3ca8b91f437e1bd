#!/usr/bin/env bash
# check_house.sh can fail: a small tree in order passes, and each single fault added to it is found and named.
set -uo pipefail
check=$(cd "$(dirname "$0")" && pwd)/check_house.sh
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failures=0

good_tree() {
    rm -rf "$dir/tree"
    mkdir -p "$dir/tree/src/"{base,io,dnn,cli} "$dir/tree/docs"
    cd "$dir/tree" || exit 2
    printf '%s\n' 'mixq_module(base LIBS m)' 'mixq_module(io' '  USES base LIBS z)' 'mixq_module(dnn USES base)' \
        >CMakeLists.txt
    printf '#ifndef MIXQ_BASE_LOW_H\n#define MIXQ_BASE_LOW_H\n#endif\n' >src/base/low.h
    printf '#include <stdlib.h>\nvoid *f(void) { return malloc(1); }\n' >src/base/low.c
    printf '#ifndef MIXQ_IO_READ_H\n#define MIXQ_IO_READ_H\n#include "base/low.h"\n#endif\n' >src/io/read.h
    printf '/* story: printf( in a comment\n * and malloc() here */\n#include "io/read.h"\n' >src/io/read.c
    printf '#include "dnnl.h"\n' | sed 's/"dnnl.h"/<dnnl.h>/' >src/dnn/conv.c
    printf '#include "io/read.h"\nint main(void) { printf("x"); }\n' >src/cli/main.c
    echo 'All is well.' >docs/page.md
}

# expect TEXT: the tree as it stands is refused, and one line holds TEXT.
expect() {
    local out
    if out=$("$check" "$dir/tree"); then
        echo "not found: $1"
        failures=$((failures + 1))
    elif ! grep -qF -- "$1" <<<"$out"; then
        echo "expected: $1"
        echo "got: $out"
        failures=$((failures + 1))
    fi
    good_tree
}

good_tree
if ! out=$("$check" "$dir/tree"); then
    echo "the good tree is refused: $out"
    failures=$((failures + 1))
fi
echo '#include "io/read.h"' >>src/base/low.c
expect 'base may not include io'
echo '#include "dnn/none.h"' >>src/io/read.c
expect '"dnn/none.h" is not in src/'
echo '#  include "read.h"' >>src/io/read.c
expect '"read.h": write it as'
echo 'mixq_module(early USES late)' >>CMakeLists.txt
expect 'early uses late'
mkdir src/other
expect 'src/other: no row'
echo '#include <oneapi/dnnl/dnnl.h>' >>src/io/read.c
expect 'oneDNN belongs to src/dnn'
echo '#include <mpi.h>' >>src/io/read.c
expect 'MPI belongs to src/ranks'
echo 'void *g(void) { return calloc(1, 1); }' >>src/io/read.c
expect 'memory comes from base/memory.h'
echo 'void h(void) { fprintf(stderr, "x"); }' >>src/io/read.c
expect 'neither prints nor exits'
echo 'void h(void) { exit(1); }' >>src/io/read.c
expect 'neither prints nor exits'
cp src/base/low.c src/io/low.c
expect 'two files are named low.c'
yes '' | head -n 801 >src/io/long.c
expect '801 lines'
sed -i 's/MIXQ_IO_READ_H/READ_H/' src/io/read.h
expect 'include guard MIXQ_IO_READ_H'
printf 'see /%s/main\n' work >docs/page.md
expect 'docs/page.md:1: a path of one machine'
printf '/* "/%s/x" */\n' tmp >>src/io/read.c
expect 'src/io/read.c:4: a path of one machine'
printf '/* %s later */\n' TO""DO >>src/io/read.c
expect 'src/io/read.c:4: a mark of unfinished work'
: >CMakeLists.txt
expect 'no mixq_module rows'

[ "$failures" -eq 0 ] && echo "every fault is found"
exit "$((failures > 0))"
