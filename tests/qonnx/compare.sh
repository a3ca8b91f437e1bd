#!/usr/bin/env bash
# compare.sh MIXQ SOURCE: a network trained for a moment, exported, executed by the qonnx package on real images and compared
# code by code with mixq; its plain ONNX and a float one by onnx and onnxruntime; the files of tests/qonnx/files; random
# networks. Skipped where no python has onnx and qonnx: MIXQ_PYTHON names one to try first.
set -euo pipefail
mixq=$1
here=$2/tests/qonnx
python=
for each in "${MIXQ_PYTHON:-}" python3; do
    [ -n "$each" ] && command -v "$each" >/dev/null && "$each" -c 'import onnx, qonnx' 2>/dev/null && python=$each && break
done
if [ -z "$python" ]; then
    echo "skipped: no python3 with onnx and qonnx (MIXQ_PYTHON names one)"
    echo "[  SKIPPED ] 1 test(s)."
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/net.yaml" <<'Y'
name: compared
classes: 10
input: {channels: 1, height: 28, width: 28}
layers:
  - conv: {out: 8, kernel: 5, padding: 0}
  - batch_norm
  - max_pool
  - conv: {out: 12, kernel: 3}
  - batch_norm
  - max_pool
  - linear: {out: 10}
Y
cd "$work"
if "$mixq" train --model net.yaml --data fashion-mnist --limit 600 --epochs 1 --batch 20 --bitw 334 --bita 643 --out run \
    --threads 1 --quiet >/dev/null 2>&1; then
    "$mixq" export run --out net --format qonnx,onnx --vectors 20 --data fashion-mnist >/dev/null
    "$python" "$here/compare_qonnx.py" "$mixq" net/qonnx.onnx net --own --pixels net/vectors/images.npy
    "$mixq" train --model net.yaml --data fashion-mnist --limit 600 --epochs 1 --batch 20 --float --out float-run --threads 1 \
        --quiet >/dev/null 2>&1
    "$mixq" export float-run --format onnx --out float >/dev/null
    "$python" "$here/check_plain.py" net/plain.onnx net/vectors
    "$python" "$here/check_plain.py" float/float.onnx net/vectors --float
else
    echo "no Fashion-MNIST here: the files alone"
fi
for file in small own; do
    "$mixq" import "$here/files/$file.onnx" --out $file.safetensors >/dev/null
    "$python" "$here/compare_qonnx.py" "$mixq" "$here/files/$file.onnx" $file.safetensors
done
"$python" "$here/random_networks.py" "$mixq" 25 --seed 1
