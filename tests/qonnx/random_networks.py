"""Random small QONNX networks of what docs/qonnx.md says is read, in the three domains, imported by mixq and executed by
the qonnx package: every code and output must be the same; and those of the QONNX that mixq exports of them.

  random_networks.py MIXQ COUNT [--seed S] [--keep DIR]

Numbers are binary fractions in two networks of three: there float32 is exact and every difference counts. In the others an
image is left out when its first differing value lies in the middle of two codes as far as float32 can tell. --keep writes
SEED.onnx and SEED.npz, inputs and the package's codes. Ends with 1 when anything differs or is refused, with 77 when the
packages are not there.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from compare_qonnx import Comparison, np, numpy_helper, onnx, prepare, simulate

DOMAINS = ["onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.general"]
helper = onnx.helper


class Network:
    """One graph while it grows: the running value's name and shape."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.binary = bool(self.rng.random() < 0.67)
        self.domain = self.pick(DOMAINS)
        self.nodes, self.tensors, self.count = [], [], {}
        self.last = False

    def pick(self, of):
        return of[int(self.rng.integers(len(of)))]

    def chance(self, p):
        return bool(self.rng.random() < p)

    def name(self, stem):
        self.count[stem] = self.count.get(stem, 0) + 1
        return f"{stem}{self.count[stem]}"

    def constant(self, value, dtype=np.float32):
        name = self.name("k")
        self.tensors.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def node(self, op, inputs, domain="", name=None, **attributes):
        name = name or self.name(op.lower())
        out = name + "_out"
        self.nodes.append(helper.make_node(op, inputs, [out], name=name, domain=domain, **attributes))
        return out

    def number(self, low, high, shape=()):
        """Above 0, over some octaves."""
        v = np.exp2(self.rng.uniform(np.log2(low), np.log2(high), shape))
        return np.exp2(np.rint(np.log2(v))) if self.binary else v

    def offset(self, size, shape=()):
        v = self.rng.uniform(-size, size, shape)
        return np.rint(v * 64) / 64 if self.binary else v

    def quant(self, x, scale, bits, signed, narrow):
        attributes = dict(signed=int(signed), narrow=int(narrow), rounding_mode="ROUND")
        op = "IntQuant" if self.domain.startswith("qonnx") and self.chance(0.3) else "Quant"
        if np.ndim(scale) == 0 and self.binary and self.chance(0.3):  # as the early exports compute it
            scale = self.node("Pow", [self.constant(2.0), self.constant(np.log2(scale))])
        else:
            scale = self.constant(scale)
        zero, width = self.constant(0.0), self.constant(float(bits))
        return self.node(op, [x, scale, zero, width], self.domain, **attributes)

    # ---- scalings ----

    def per_channel(self, value, shape, channels):
        if np.ndim(value) == 0:
            return self.constant(value)
        if len(shape) == 4:
            value = np.reshape(value, (channels, 1, 1) if self.chance(0.5) else (1, channels, 1, 1))
        elif self.chance(0.5):
            value = np.reshape(value, (1, channels))
        return self.constant(value)

    def scaling(self, x, shape, rising, input_chain=False):
        channels = shape[1]
        each = (channels,) if self.chance(0.5) and not (input_chain and shape != self.shape) else ()
        op = self.pick(["Add", "Sub", "Mul", "Div"])
        if op in ("Mul", "Div"):
            value = self.number(0.25, 4, each)
            if not rising and self.chance(0.2):
                value = -value
        else:
            value = self.offset(1, each)
        operand = self.per_channel(value, shape, channels)
        swap = op in ("Add", "Mul") and self.chance(0.3) or op == "Sub" and not rising and self.chance(0.2)
        return self.node(op, [operand, x] if swap else [x, operand])

    def norm(self, x, channels, rising):
        gamma = self.number(0.25, 2, (channels,))
        if not rising:
            gamma *= self.rng.choice([-1, 1], channels, p=[0.2, 0.8])
        variance, epsilon = (np.exp2(2 * self.rng.integers(-1, 2, channels)), 0.0) if self.binary else (
            self.number(0.3, 3, (channels,)), 1e-5)
        values = [gamma, self.offset(1, (channels,)), self.offset(1, (channels,)), variance]
        return self.node("BatchNormalization", [x] + [self.constant(v) for v in values], epsilon=epsilon)

    # ---- layers ----

    def weights(self, shape, axis, last):
        """A Quant of random numbers, one scale or one per output, or whole numbers as they are."""
        bits = int(self.rng.integers(2, 9))
        signed = not self.chance(0.1) or bits == 8
        narrow = signed and self.chance(0.4)
        if self.chance(0.1):
            return self.constant(self.rng.integers(-3, 4, shape))
        real = self.rng.normal(0, 1, shape)
        if self.chance(0.1) and not last:
            return self.node("BipolarQuant", [self.constant(real), self.constant(self.number(0.1, 1))], self.domain)
        if not signed:
            real = np.abs(real)
        scale = self.number(1, 2) * 4 / 2**bits
        if self.chance(0.4) and not last:
            broad = [1] * len(shape)
            broad[axis] = shape[axis]
            scale = self.number(1, 2, broad) * 4 / 2**bits
        real, perm = self.constant(real), None
        if len(shape) == 2 and self.chance(0.2) and np.ndim(scale) == 0:
            w = self.node("Transpose", [self.quant(self.transposed(real), scale, bits, signed, narrow)], perm=[1, 0])
            return w
        return self.quant(real, scale, bits, signed, narrow)

    def transposed(self, name):
        tensor = next(t for t in self.tensors if t.name == name)
        value = numpy_helper.to_array(tensor).T.copy()
        tensor.CopyFrom(numpy_helper.from_array(value, name))
        return name

    def conv(self, x, shape, last=False):
        _, c, h, w = shape
        kernel = h if last else int(self.pick([1, 2, 3, 3]))
        kernel = min(kernel, h, w)
        stride = 1 if last else self.pick([1, 1, 2])
        pad = 0 if last else int(self.rng.integers(0, kernel))
        groups = 1 if last else self.pick([1, 1, 1, c, 2 if c % 2 == 0 else 1])
        out = 5 if last else groups * int(self.rng.integers(1, 3)) if groups == c else groups * int(self.rng.integers(1, 4))
        inputs = [x, self.weights([out, c // groups, kernel, kernel], 0, last)]
        if self.chance(0.4):
            inputs.append(self.constant(self.offset(1, (out,))))
        attributes = dict(kernel_shape=[kernel] * 2, pads=[pad] * 4, strides=[stride] * 2, group=groups)
        y = self.node("Conv", inputs, name=self.name("conv"), **attributes)
        size = [(s + 2 * pad - kernel) // stride + 1 for s in (h, w)]
        return y, [1, out] + size

    def linear(self, x, shape, last=False):
        inputs, out = shape[1], 5 if last else int(self.rng.integers(3, 9))
        if self.chance(0.5):
            y = self.node("MatMul", [x, self.weights([inputs, out], 1, last)], name=self.name("linear"))
        else:
            flip = self.chance(0.5)
            operands = [x, self.weights([out, inputs] if flip else [inputs, out], 0 if flip else 1, last)]
            attributes = {"transB": int(flip)}
            if self.chance(0.3):
                attributes["alpha"] = 0.5
            if self.chance(0.6):
                operands.append(self.constant(self.offset(1, (out,))))
                if self.chance(0.3):
                    attributes["beta"] = 2.0
            y = self.node("Gemm", operands, name=self.name("linear"), **attributes)
        return y, [1, out]

    def activate(self, x, shape):
        """Scalings, a batch norm, a pool, Relu, Quant in an order that is folded; sometimes a scaling of the codes."""
        pooled = False
        pool_after = len(shape) == 4 and min(shape[2:]) >= 2 and self.chance(0.4)
        for _ in range(int(self.rng.integers(0, 3))):
            x = self.scaling(x, shape, pooled)
        if pool_after and self.chance(0.4):
            x, shape = self.pool(x, shape)
            pool_after, pooled = False, True
        if self.chance(0.5) and len(shape) == 4:
            x = self.norm(x, shape[1], pooled)
        for _ in range(int(self.rng.integers(0, 2))):
            x = self.scaling(x, shape, pooled)
        if self.chance(0.1):
            x = self.node("Identity", [x])
        relu = self.chance(0.4)
        if relu:
            x = self.node("Relu", [x])
            if self.chance(0.3):
                x = self.node("Mul", [x, self.constant(self.number(0.5, 2))])
        signed = self.chance(0.5)
        bits = int(self.rng.integers(2, 9))
        narrow = signed and self.chance(0.5)
        x = self.quant(x, self.number(0.5, 2) * 8 / 2**bits, bits, signed, narrow)
        if pool_after:
            x, shape = self.pool(x, shape)
        if self.chance(0.2):
            x = self.node(*self.pick([("Mul", [x, self.constant(self.number(0.5, 2))]),
                                      ("Div", [x, self.constant(self.number(0.5, 2, (1,)))])]))
        return x, shape

    def pool(self, x, shape):
        kernel = self.pick([2, 2, 3]) if min(shape[2:]) >= 3 else 2
        stride = self.pick([1, 2])
        x = self.node("MaxPool", [x], kernel_shape=[kernel] * 2, strides=[stride] * 2)
        return x, shape[:2] + [(s - kernel) // stride + 1 for s in shape[2:]]

    def branches(self, x, shape):
        """Two layers of the same input, quantised alike, side by side."""
        bits, scale, signed = int(self.rng.integers(2, 9)), self.number(0.5, 2), self.chance(0.5)
        parts, channels = [], 0
        for _ in range(2):
            outputs = int(self.rng.integers(1, 4))
            weights = self.weights([outputs, shape[1], 1, 1], 0, False)
            y = self.node("Conv", [x, weights], name=self.name("conv"), kernel_shape=[1, 1])
            y = self.norm(y, outputs, False) if self.chance(0.5) else y
            parts.append(self.quant(y, scale * 8 / 2**bits, bits, signed, False))
            channels += outputs
        return self.node("Concat", parts, axis=1), [1, channels] + shape[2:]

    def flatten(self, x, shape):
        n = int(np.prod(shape))
        if len(shape) == 4 and self.chance(0.4):
            x = self.node("Transpose", [x], perm=[0, 2, 3, 1])
        way = int(self.rng.integers(3))
        if way == 0:
            x = self.node("Flatten", [x], axis=1)
        else:
            x = self.node("Reshape", [x, self.constant([1, n] if way == 1 else [1, -1], np.int64)])
        return x, [1, n]

    # ---- the network ----

    def build(self):
        image = self.chance(0.6)
        self.shape = [1, int(self.rng.integers(1, 5)), 7, 7] if image else [1, int(self.rng.integers(6, 30))]
        x, shape = "x", list(self.shape)
        if not image and self.chance(0.3):  # an image flattened at once
            side = int(self.rng.integers(2, 6))
            self.shape = [1, 1, side, side]
            x, shape = self.node("Reshape", [x, self.constant([1, -1], np.int64)]), [1, side * side]
        for _ in range(int(self.rng.integers(0, 4))):
            x = self.scaling(x, shape, True, True)
        signed = self.chance(0.6)
        bits = int(self.rng.integers(2, 9))
        x = self.quant(x, self.number(0.5, 2) * 8 / 2**bits, bits, signed, signed and self.chance(0.4))
        for _ in range(int(self.rng.integers(1, 4)) if image else 0):
            x, shape = self.conv(x, shape)
            x, shape = self.activate(x, shape)
        if image and self.chance(0.3):
            x, shape = self.branches(x, shape)
        if image and self.chance(0.2):
            x, shape = self.conv(x, shape, last=True)
        else:
            if len(shape) == 4:
                x, shape = self.flatten(x, shape)
            for _ in range(int(self.rng.integers(0, 3))):
                x, shape = self.linear(x, shape)
                x, shape = self.activate(x, shape)
            x, shape = self.linear(x, shape, last=True)
        if self.chance(0.5):
            x = self.node("Mul", [x, self.constant(self.number(0.5, 2))])
        value = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes, "random", [value("x", 1, self.shape)], [value(x, 1, shape)], self.tensors)
        return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13),
                                                                     helper.make_opsetid(self.domain, 1)])

    def inputs(self, count):
        x = self.rng.standard_normal([count] + self.shape[1:]) * np.logspace(-0.5, 0.8, count).reshape(
            [-1] + [1] * (len(self.shape) - 1))
        return (np.rint(x * 32) / 32 if self.binary else x).astype(np.float32)


def check(mixq, seed, folder, keep):
    network = Network(seed)
    path = f"{folder}/{seed}.onnx"
    onnx.save(network.build(), path)
    x = network.inputs(6)
    done = subprocess.run([mixq, "import", path, "--out", f"{folder}/{seed}.safetensors"], capture_output=True, text=True)
    if done.returncode:
        return f"refused: {done.stderr.strip()}", 0, 0
    dumps, out, _ = simulate(mixq, f"{folder}/{seed}.safetensors", x)
    model, name, shape = prepare(path, False)
    result = Comparison(model, name, shape, x, dumps, out, others=True, ties=not network.binary)
    if keep and not result.undecided:
        codes = {dump: np.stack(codes).astype(np.int16) for dump, codes in result.codes.items()}
        Path(keep).mkdir(exist_ok=True)
        Path(f"{keep}/random_{seed}.onnx").write_bytes(Path(path).read_bytes())
        np.savez_compressed(f"{keep}/random_{seed}.npz", x=x, outputs=out, **codes)
    subprocess.run([mixq, "export", f"{folder}/{seed}.safetensors", "--out", f"{folder}/{seed}", "--format", "qonnx",
                    "--quiet"], check=True, capture_output=True)
    model, name, shape = prepare(f"{folder}/{seed}/qonnx.onnx", True)
    back = Comparison(model, name, shape, x, dumps, out)
    return describe("imported", result) + describe("exported", back), sum(result.total.values()) + out.size, result.undecided


def describe(what, result):
    if not result.differences():
        return ""
    codes = ", ".join(f"{d}: {n} codes" for d, n in result.wrong.items() if n)
    return f" {what}: {codes} outputs: {result.outputs}, classes: {result.classes}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mixq")
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep")
    args = parser.parse_args()
    failed = values = undecided = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seed, args.seed + args.count):
            said, compared, ties = check(args.mixq, seed, folder, args.keep)
            values += compared
            undecided += ties
            failed += bool(said)
            if said:
                print(f"network {seed}: {said}")
    print(f"{args.count} random networks, {values} codes and outputs compared, {undecided} images undecided in float32: "
          f"{failed} networks differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
