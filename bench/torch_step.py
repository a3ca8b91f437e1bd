"""One process that runs PyTorch steps for compare_torch.py, or checks them.

torch_step.py MODEL.yaml search|train BATCH
    writes a line of JSON when warm; for every line N on its input runs N steps and answers with a line of JSON
torch_step.py check GOLDEN
    the first step's losses and gradients against published numbers (shared weights); exit code 1: one is out of bounds
Threads are those of OMP_NUM_THREADS.
"""
import json
import pathlib
import re
import resource
import struct
import sys
import time

import numpy
import torch
import torch.nn.functional as F

from torch_network import Network, detection_loss, read_factors

ROOT = pathlib.Path(__file__).resolve().parent.parent
WARM_UP = 2


class Trainer:
    def __init__(self, path, digits, price):
        self.net = Network(path, digits)
        self.factors = read_factors(ROOT / "factors" / "published.csv")
        self.detector = self.net.description.get("task") == "detection"
        self.price = price * (4 if self.detector else 1)
        groups = {True: [], False: []}
        for name, parameter in self.net.named_parameters():
            groups["alpha" in name].append(parameter)
        self.optimizers = [torch.optim.SGD(g, 0.01, 0.9, weight_decay=5e-4) for g in groups.values() if g]

    def gradients(self, images, truth):
        """Forward, loss, backward; returns the parts of the loss."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        output, parts = self.net(images), {}
        if self.detector:
            parts["box"], parts["objectness"] = detection_loss(self.net, output, truth)
            loss = (parts["box"] + parts["objectness"]) * (len(images) / 64)
        else:
            loss = parts["cross_entropy"] = F.cross_entropy(output, truth)
        if self.net.searched[0].bits is None:
            parts["complexity"] = self.net.complexity(self.factors)
            loss = loss + self.price * parts["complexity"]
        parts["total"] = loss
        loss.backward()
        return {name: part.item() for name, part in parts.items()}

    def step(self, images, truth):
        self.gradients(images, truth)
        for optimizer in self.optimizers:
            optimizer.step()


def about():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    with open("/proc/self/maps") as maps:
        blas = set(re.findall(r"[^/\s]*/lib(?:blas|openblas|mkl)\S*", maps.read()))
    return {"torch": torch.__version__, "blas": sorted(blas), "peak_mb": peak, "threads": torch.get_num_threads()}


def serve(model, mode, n):
    torch.manual_seed(0)
    trainer = Trainer(model, None if mode == "search" else ("4", "4"), 3e-5)
    images = torch.randint(0, 256, (n, *trainer.net.shape)).float() / 256
    if trainer.detector:
        image, one = torch.arange(n)[:, None].float(), torch.ones(n, 1)
        truth = torch.cat([image, 0 * one, torch.rand(n, 2), 0.05 + 0.3 * torch.rand(n, 2), one], 1)
    else:
        truth = torch.arange(n) % trainer.net.description["classes"]
    for _ in range(WARM_UP):
        trainer.step(images, truth)
    print(json.dumps(about()), flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            trainer.step(images, truth)
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds, **about()}), flush=True)


# The check's bounds: twice what the published program itself shows when it sums in another order. Relative errors of
# the losses; of the gradients, all tensors of a kind joined, 1 - cosine.
KINDS = ("complexity", "cross_entropy", "box", "objectness", "total", "conv", "bn", "head", "alpha")
BOUNDS = {
    "classifier": (1e-6, 2.4e-3, None, None, 2.4e-3, 0.024, 0.028, 2e-4, 0.012),
    "detector": (1e-6, None, 0.0112, 3e-4, 4.4e-4, 0.114, 0.096, 0.16, 2.4e-3),
    "depthwise": (1e-6, None, 0.017, 8.6e-4, 1.24e-3, 0.328, 0.226, 0.126, 0.08),
}
TYPES = {"F32": numpy.float32, "I64": numpy.int64, "U8": numpy.uint8}


def read_safetensors(path):
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, t in json.loads(data[8:start]).items():
        if name != "__metadata__":
            low, high = (start + offset for offset in t["data_offsets"])
            out[name] = torch.from_numpy(numpy.frombuffer(data[low:high], TYPES[t["dtype"]]).reshape(t["shape"]).copy())
    return out


def check_case(folder, expected):
    digits = (expected["bitw"], expected["bita"]) if expected["mode"] == "train" else None
    model = ROOT / "models" / f"{expected['model']}.yaml"
    trainer = Trainer(model, digits, expected.get("complexity_decay", 0))
    initial, batches, step1 = (read_safetensors(folder / f"{f}.safetensors") for f in ("initial", "batches", "step1"))
    # Both sides have a path index per layer and, within it, names in the same alphabetical order.
    natural = lambda name: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", name)]
    published = sorted((n for n in initial if not re.search("size_product|memory_size|in_width", n)), key=natural)
    own, last, kinds = trainer.net.state_dict(keep_vars=True), len(trainer.net.layers) - 1, {}
    for name, theirs in zip(sorted(own, key=natural), published, strict=True):
        assert own[name].shape == initial[theirs].shape, f"{name} and {theirs} differ in shape"
        own[name].data.copy_(initial[theirs])
        if own[name].requires_grad:
            kind = "head" if name.startswith(f"layers.{last}.") else "conv" if ".module." in name else "bn"
            kinds.setdefault("alpha" if "alpha" in name else kind, []).append((name, f"grad.{theirs}"))
    truth = batches["targets" if trainer.detector else "labels"][0]
    parts, wanted = trainer.gradients(batches["images"][0].float() / 256, truth), expected["steps"][0]
    wanted.setdefault("total", wanted.get("loss"))
    errors = {name: abs(value / wanted[name] - 1) for name, value in parts.items() if name in wanted}
    for kind, names in kinds.items():
        ours, theirs = (torch.cat([g.double().flatten() for g in side])
                        for side in zip(*((own[a].grad, step1[b]) for a, b in names)))
        errors[kind] = abs(1 - F.cosine_similarity(ours, theirs, 0).item())
    depthwise = any(layer.module.groups > 1 for layer in trainer.net.searched)
    network = "depthwise" if depthwise else "detector" if trainer.detector else "classifier"
    bounds = dict(zip(KINDS, BOUNDS[network]))
    for name, error in errors.items():
        verdict = "ok" if error <= bounds[name] else "OUT OF BOUNDS"
        print(f"  {folder.name:16} {name:14} error {error:7.1e}, bound {bounds[name]:7.1e}  {verdict}")
    return all(error <= bounds[name] for name, error in errors.items())


def check(golden):
    cases = [(path.parent, json.loads(path.read_text())) for path in sorted(golden.glob("*/expected.json"))]
    cases = [case for case in cases if case[1].get("mode") in ("search", "train") and case[1].get("share_weight", True)]
    results = [check_case(*case) for case in cases]
    print(f"  {sum(results)} of {len(results)} cases agree with the published numbers")
    return all(results)


if __name__ == "__main__":
    if sys.argv[1] == "check":
        sys.exit(not check(pathlib.Path(sys.argv[2])))
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
