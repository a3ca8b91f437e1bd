"""Runs a QONNX file with the qonnx package, and an imported checkpoint or export with mixq, on the same inputs; counts
the codes and outputs that differ.

  compare_qonnx.py MIXQ FILE.onnx NET [--images N] [--seed S] [--pixels FILE.npy]

NET: what mixq simulate takes. Codes are compared at every Quant of a computed value whose layer mixq dumped; the inputs
are pixels/255 or pixels/256 (mixq's own files), or else seeded random numbers that reach every code. Prints one line a
tensor and "N differences"; ends with 1 when there are any, with 77 when the packages are not there.
"""
import argparse
import json
import warnings
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

warnings.filterwarnings("ignore")
SOURCES = {"Conv", "MatMul", "Gemm"}
MOVES = {"MaxPool", "SpaceToDepth", "Concat"}


def constants(model):
    return {t.name for t in model.graph.initializer}


def layer_of(model, tensor):
    """The weighted layer that a tensor is computed from without another one between, or None."""
    while True:
        node = model.find_producer(tensor)
        if node is None:
            return None
        if node.op_type in SOURCES:
            return node
        if node.op_type in MOVES or node.op_type.endswith("Quant"):
            return None
        dynamic = [i for i in node.input if model.get_initializer(i) is None]
        if len(dynamic) != 1:
            return None
        tensor = dynamic[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mixq")
    parser.add_argument("file")
    parser.add_argument("net")
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pixels", help="a .npy of uint8 [N, C, H, W]")
    parser.add_argument("--own", action="store_true", help="the file is mixq's: pixels/256")
    args = parser.parse_args()

    if args.own:  # others' files may lack an import of their domain
        onnx.checker.check_model(onnx.load(args.file), full_check=False)
    model = ModelWrapper(args.file)
    for node in model.graph.node:  # the first exports of Brevitas
        if node.domain in ("onnx.brevitas", "finn.custom_op.general"):
            node.domain = "qonnx.custom_op.general"
    if not any(o.domain == "qonnx.custom_op.general" for o in model.model.opset_import):
        model.model.opset_import.append(onnx.helper.make_opsetid("qonnx.custom_op.general", 1))
    model = model.transform(InferShapes())
    weights = constants(model.model)
    inputs = [i for i in model.graph.input if i.name not in weights]
    name = inputs[0].name
    shape = model.get_tensor_shape(name)
    if args.pixels:
        pixels = np.load(args.pixels)[: args.images]
        given = pixels
        x = pixels.astype(np.float32) / np.float32(256 if args.own else 255)
    else:
        x = np.random.default_rng(args.seed).standard_normal([args.images] + list(shape[1:])).astype(np.float32)
        x *= np.logspace(-1, 2, args.images, dtype=np.float32).reshape([-1] + [1] * (len(shape) - 1))
        given = x
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", given)
        said = subprocess.run([args.mixq, "simulate", args.net, "--input", f"{folder}/x.npy", "--dump", f"{folder}/d",
                               "--output", f"{folder}/out.npy", "--json"], check=True, capture_output=True, text=True)
        dumps = {p.stem: np.load(p).astype(np.int64) for p in Path(f"{folder}/d").glob("*.npy")}
        out = np.load(f"{folder}/out.npy")
    checked = []
    for node in model.graph.node:
        if not node.op_type.endswith("Quant") or model.get_initializer(node.input[0]) is not None:
            continue
        layer = layer_of(model, node.input[0])
        if layer is not None and model.find_producer(node.input[0]) is not None:
            suffix = [c for c in checked if c[1] == layer.name]
            dump = layer.name + (f".{len(suffix) + 1}" if suffix else "")
            checked.append((node, layer.name, dump))
    wrong = {c[2]: 0 for c in checked}
    total = dict.fromkeys(wrong, 0)
    wrong_out = 0
    classes = 0
    for i in range(len(x)):
        found = execute_onnx(model, {name: x[i : i + 1].reshape(shape)}, True)
        for node, _, dump in checked:
            scale = model.get_initializer(node.input[1])
            codes = np.rint(found[node.output[0]] / scale).astype(np.int64).ravel()
            own = dumps[dump][i].ravel()
            wrong[dump] += int((codes != own).sum())
            total[dump] += codes.size
        last = found[model.graph.output[0].name]
        acc = out[i].ravel()
        if last.ndim == 2 and acc.size > 1 and acc.min() != acc.max():
            classes += int(acc[last.ravel().argmax()] != acc.max())  # of equal outputs float rounding picks one
            fit = np.polyfit(acc, last.ravel(), 1)  # real = acc*scale + offset, for all classes alike
            wrong_out += int((np.rint((last.ravel() - fit[1]) / fit[0]).astype(np.int64) != acc).sum())
        else:
            divisor = np.abs(acc).max() / max(np.abs(last).max(), 1e-30)
            wrong_out += int((np.rint(last.ravel() * divisor).astype(np.int64) != acc).sum())
    for dump in wrong:
        print(f"{dump}: {wrong[dump]} of {total[dump]} codes differ")
    print(f"outputs: {wrong_out} of {out.size} differ, {classes} of {len(x)} classes differ")
    differences = sum(wrong.values()) + wrong_out + classes
    print(f"{len(checked)} quantisers compared on {len(x)} inputs, kernels {json.loads(said.stdout)['kernels']}: "
          f"{differences} differences")
    return 1 if differences or not checked else 0


sys.exit(main())
