#!/usr/bin/env bash
# Installs the Debian packages that mixq needs, as root or through sudo; at once done when they are all there.
#   tools/deps.sh         building, testing and the demo
#   tools/deps.sh deep    what `make check-deep` needs on top
#   tools/deps.sh torch   what `make bench-torch` needs on top: PyTorch, and a BLAS that is fair to it
set -euo pipefail

packages=(build-essential cmake ninja-build pkg-config libdnnl-dev libyaml-dev libjansson-dev zlib1g-dev libmd-dev
          libgmp-dev libjpeg62-turbo-dev libpng-dev libexpat1-dev libprotobuf-c-dev protobuf-c-compiler libcmocka-dev
          verilator iverilog yosys dataset-fashion-mnist)
if [ "${1:-}" = deep ]; then
    packages+=(git clang clang-tidy clang-format cppcheck valgrind libomp-dev llvm man-db chromium libopenmpi-dev
               openmpi-bin python3)
fi
if [ "${1:-}" = torch ]; then
    packages+=(python3-torch python3-numpy python3-yaml libopenblas0-openmp)
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "deps: no apt-get here; install what corresponds to these Debian packages yourself: ${packages[*]}" >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "deps: all ${#packages[@]} packages are installed"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps: neither root nor sudo; have these installed: ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@" </dev/null
}
install() {
    apt install --no-install-recommends "${missing[@]}"
}

echo "deps: installing ${missing[*]}"
# The package lists are fetched only when they do not know a package, or have grown too old to install from.
if apt-cache show --no-all-versions "${missing[@]}" >/dev/null 2>&1; then
    install || { apt update && install; }
else
    apt update
    install
fi
