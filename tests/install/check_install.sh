#!/usr/bin/env bash
# Installs the build into a folder of its own and builds small programs against it: check_install.sh BUILD CMAKE
# By pkg-config and by CMake's package; every public header on its own; manual page and completion are there.
set -euo pipefail
build=$1 cmake=$2
source=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "install: $*"
    exit 1
}

DESTDIR= "$cmake" --install "$build" --prefix "$work/tree" >"$work/log" || fail "$(cat "$work/log")"
# The file names the prefix it was configured for; a tree elsewhere is found by pkg-config's own means.
pc=$(find "$work/tree" -name mixq.pc)
[ -n "$pc" ] || fail "no mixq.pc"
flags() { PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --define-variable=prefix="$work/tree" "$@" mixq; }

"$work/tree/bin/mixq" --version >/dev/null || fail "the program does not start"
[ -s "$work/tree/share/man/man1/mixq.1" ] || fail "no manual page"
grep -q '^\.SS mixq simulate$' "$work/tree/share/man/man1/mixq.1" || fail "the manual page lacks commands"
bash -n "$work/tree/share/bash-completion/completions/mixq" || fail "the completion is no bash"

# shellcheck disable=SC2046
cc -std=c11 -Wall -Wextra -Werror "$source/simulate_zeros.c" $(flags --cflags --libs) -o "$work/by_pkg_config" ||
    fail "pkg-config: the program does not build"
"$cmake" -S "$source" -B "$work/project" -Dmixq_DIR="$(dirname "$(find "$work/tree" -name mixqConfig.cmake)")" \
    >"$work/log" 2>&1 && "$cmake" --build "$work/project" >>"$work/log" 2>&1 || fail "$(cat "$work/log")"

"$work/by_pkg_config" "$source/net" >"$work/a" || fail "pkg-config: the program fails: $(cat "$work/a")"
"$work/project/simulate_zeros" "$source/net" >"$work/b" || fail "cmake: the program fails"
cmp "$work/a" "$work/b" && grep -q '^ones: 3 outputs: 1 2 3$' "$work/a" || fail "unexpected outputs: $(cat "$work/a")"

for header in $(cd "$work/tree/include/mixq" && find . -name '*.h'); do
    echo "#include \"${header#./}\"" >"$work/one.c"
    # shellcheck disable=SC2046
    cc -std=c11 -fsyntax-only "$work/one.c" $(flags --cflags) || fail "$header does not stand alone"
done
echo "install: the tree is whole"
