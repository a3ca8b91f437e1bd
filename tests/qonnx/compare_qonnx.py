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


def prepare(file, own):
    """The model with all Quant nodes in the domain that the package executes, its input's name and shape."""
    if own:  # others' files may lack an import of their domain
        onnx.checker.check_model(onnx.load(file), full_check=False)
    model = ModelWrapper(file)
    for node in model.graph.node:  # the first exports of Brevitas
        if node.domain in ("onnx.brevitas", "finn.custom_op.general"):
            node.domain = "qonnx.custom_op.general"
    if not any(o.domain == "qonnx.custom_op.general" for o in model.model.opset_import):
        model.model.opset_import.append(onnx.helper.make_opsetid("qonnx.custom_op.general", 1))
    model = model.transform(InferShapes())
    weights = constants(model.model)
    name = next(i.name for i in model.graph.input if i.name not in weights)
    return model, name, model.get_tensor_shape(name)


def simulate(mixq, net, given):
    """Dumps by name, outputs, kernels."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", given)
        said = subprocess.run([mixq, "simulate", net, "--input", f"{folder}/x.npy", "--dump", f"{folder}/d", "--output",
                               f"{folder}/out.npy", "--json"], check=True, capture_output=True, text=True)
        dumps = {p.stem: np.load(p).astype(np.int64) for p in Path(f"{folder}/d").glob("*.npy")}
        return dumps, np.load(f"{folder}/out.npy"), json.loads(said.stdout)["kernels"]


def quantisers(model):
    """[(Quant node of a computed value, name of mixq's dump)]"""
    checked = []
    for node in model.graph.node:
        if not node.op_type.endswith("Quant") or model.get_initializer(node.input[0]) is not None:
            continue
        layer = layer_of(model, node.input[0])
        if layer is not None and model.find_producer(node.input[0]) is not None:
            count = sum(name == layer.name for _, name, _ in checked)
            checked.append((node, layer.name, layer.name + (f".{count + 1}" if count else "")))
    return [(node, dump) for node, _, dump in checked]


class Comparison:
    """Codes and outputs of a model by the package, image by image, beside mixq's."""

    def __init__(self, model, name, shape, x, dumps, out, others=False, ties=False):
        self.others = others
        self.checked = quantisers(model)
        self.wrong = {dump: 0 for _, dump in self.checked}
        self.total = dict(self.wrong)
        self.codes = {dump: [] for _, dump in self.checked}
        self.outputs = self.classes = self.undecided = 0
        for i in range(len(x)):
            found = execute_onnx(model, {name: x[i : i + 1].reshape(shape)}, True)
            if ties and self.is_tie(found, dumps, i):
                self.undecided += 1
                continue
            self.compare_codes(found, dumps, i)
            self.compare_output(found[model.graph.output[0].name], out[i].ravel())

    def is_tie(self, found, dumps, i):
        """The first code that differs lies in the middle of two, to the precision of float32: the package's own
        rounding decides it, and what follows rests on it."""
        for node, dump in self.checked:
            v = (found[node.input[0]] / found[node.input[1]]).ravel().astype(np.float64)
            codes = np.rint(found[node.output[0]] / found[node.input[1]]).astype(np.int64).ravel()
            differ = codes != dumps[dump][i].ravel()
            if differ.any():
                near = np.abs(v - np.floor(v) - 0.5) < 1e-5 * (1 + np.abs(v))
                return bool((near | ~differ).all() and (np.abs(codes - dumps[dump][i].ravel()) <= 1).all())
        return False

    def compare_codes(self, found, dumps, i):
        for node, dump in self.checked:
            codes = np.rint(found[node.output[0]] / found[node.input[1]]).astype(np.int64).ravel()
            self.codes[dump].append(codes)
            self.wrong[dump] += int((codes != dumps[dump][i].ravel()).sum())
            self.total[dump] += codes.size

    def compare_output(self, last, acc):
        if last.ndim in (2, 4) and last.size == last.shape[1] > 1 and acc.min() != acc.max():
            # offsets that are not the same for all classes are whole accumulators in mixq: less than a unit apart
            slack = 1 if self.others else 0
            self.classes += int(acc[last.ravel().argmax()] < acc.max() - slack)
            fit = np.polyfit(acc, last.ravel(), 1)  # real = acc*scale + offset, for all classes alike
            real = (last.ravel() - fit[1]) / fit[0]
            self.outputs += int((np.abs(np.rint(real).astype(np.int64) - acc) > slack).sum())
        else:
            divisor = np.abs(acc).max() / max(np.abs(last).max(), 1e-30)
            self.outputs += int((np.rint(last.ravel() * divisor).astype(np.int64) != acc).sum())

    def differences(self):
        return sum(self.wrong.values()) + self.outputs + self.classes


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

    model, name, shape = prepare(args.file, args.own)
    if args.pixels:
        given = np.load(args.pixels)[: args.images]
        x = given.astype(np.float32) / np.float32(256 if args.own else 255)
    else:
        x = np.random.default_rng(args.seed).standard_normal([args.images] + list(shape[1:])).astype(np.float32)
        x *= np.logspace(-1, 2, args.images, dtype=np.float32).reshape([-1] + [1] * (len(shape) - 1))
        given = x
    dumps, out, kernels = simulate(args.mixq, args.net, given)
    result = Comparison(model, name, shape, x, dumps, out)
    for dump, wrong in result.wrong.items():
        print(f"{dump}: {wrong} of {result.total[dump]} codes differ")
    print(f"outputs: {result.outputs} of {out.size} differ, {result.classes} of {len(x)} classes differ")
    print(f"{len(result.checked)} quantisers compared on {len(x)} inputs, kernels {kernels}: "
          f"{result.differences()} differences")
    return 1 if result.differences() or not result.checked else 0


if __name__ == "__main__":
    sys.exit(main())
