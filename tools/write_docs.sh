#!/usr/bin/env bash
# Writes docs/commands/ from the program's own tables: write_docs.sh MIXQ [FOLDER]
set -euo pipefail
mixq=$1
folder=${2:-$(cd "$(dirname "$0")/.." && pwd)/docs/commands}
mkdir -p "$folder"
rm -f "$folder"/*.md
"$mixq" help --format md >"$folder/README.md"
for name in $("$mixq" help --json | sed -n 's/^      "name": "\([a-z]*\)",$/\1/p'); do
    "$mixq" help "$name" --format md >"$folder/$name.md"
done
