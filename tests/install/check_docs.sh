#!/usr/bin/env bash
# The pages of docs/commands are what the program says of itself, and its completion works: check_docs.sh MIXQ SOURCE
set -euo pipefail
mixq=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$source/tools/write_docs.sh" "$mixq" "$work/commands"
diff -r "$source/docs/commands" "$work/commands" >"$work/difference" || {
    head -20 "$work/difference"
    echo "docs/commands is not what the program says: make docs"
    exit 1
}
# Links between pages lead somewhere, and the tour names files that are there.
for page in "$source"/*.md "$source"/docs/*.md "$source"/docs/commands/*.md; do
    for link in $(grep -oE '\]\([^):#]+(\.md)?(#[^)]*)?\)' "$page" | sed -E 's/^\]\(//; s/[#)].*//'); do
        [ -e "$(dirname "$page")/$link" ] || { echo "$page: nothing at $link"; exit 1; }
    done
done
for name in $(grep -oE '[a-z_/0-9*]+\.[ch]`' "$source/docs/tour.md" | tr -d '`'); do
    found=$(find "$source/src" -path "*/${name##*/}" | head -1)
    [ -n "$found" ] || { echo "docs/tour.md: no file $name"; exit 1; }
    case $name in src/*) compgen -G "$source/$name" >/dev/null || { echo "docs/tour.md: no file $name"; exit 1; } ;; esac
done
"$mixq" help --format bash >"$work/completion"
complete_as() { # words..., the last one unfinished
    bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mixq; echo "${COMPREPLY[*]}"' - "$work/completion" "$@"
}
[ "$(complete_as mixq sim)" = simulate ] || { echo "completion of a command"; exit 1; }
[ "$(complete_as mixq search --ep)" = --epochs ] || { echo "completion of an option"; exit 1; }
[[ " $(complete_as mixq train --data '') " == *" cifar10 "* ]] || { echo "completion of a data set"; exit 1; }
[ -z "$(complete_as mixq train --epochs '')" ] || { echo "completion of a number"; exit 1; }
"$mixq" help --format man >"$work/mixq.1"
if command -v man >/dev/null && man --version >/dev/null 2>&1; then
    warnings=$(LC_ALL=C MANWIDTH=100 man --warnings -l "$work/mixq.1" 2>&1 >/dev/null | grep -v "can't break\|cannot adjust" || true)
    [ -z "$warnings" ] || { echo "$warnings"; exit 1; }
fi
echo "the pages are up to date"
