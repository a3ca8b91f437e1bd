"""The networks of models/*.yaml in PyTorch, with the published quantisers, branch mixing, price and losses.

Written as a competent user writes it: autograd functions for the straight-through rounding, a Python sum over the
seven branches, torch's own layers and losses. The mathematics is that of docs/networks.md and docs/training.md.
"""
import math
from collections import Counter

import numpy
import torch
import torch.nn.functional as F
import yaml
from torch import nn

BITS = range(2, 9)
WEIGHT_STEP = (None, 1.596, 0.996, 0.586, 0.336, 0.190, 0.106, 0.059, 0.032)
ACTIVATION_STEP = (None, 0.799, 0.538, 0.3217, 0.185, 0.104, 0.058, 0.033, 0.019)


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, function):
        return function(x)

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def quantise_activation(x, bits):
    step = ACTIVATION_STEP[bits]
    return StraightThrough.apply(x.clamp(0, step * (2**bits - 1)), lambda v: torch.round(v / step) * step)


def quantise_image(x, bits):
    return torch.floor(x * 2**bits) / 2**bits


def quantise_weight(w, bits):
    step, half = WEIGHT_STEP[bits] * w.detach().std().item(), 2 ** (bits - 1)
    return StraightThrough.apply(w, lambda v: torch.round(v / step).clamp(-half, half - 1) * step)


def mix(alpha, quantise, x):
    share = F.softmax(alpha, dim=0)
    return sum(share[i] * quantise(x, bits) for i, bits in enumerate(BITS))


class Layer(nn.Module):
    """A convolution or linear layer with the quantiser of its input. bits: (weights, activations), None: searched."""

    def __init__(self, module, bits, reads_image):
        super().__init__()
        self.module, self.bits = module, bits
        self.quantise_input = quantise_image if reads_image else quantise_activation
        if bits is None:
            self.alpha_a = nn.Parameter(torch.full((len(BITS),), 0.01))
            self.alpha_w = nn.Parameter(torch.full((len(BITS),), 0.01))

    def forward(self, x):
        m = self.module
        if self.bits is None:
            self.pixels = x.shape[2] * x.shape[3]
            a, w = mix(self.alpha_a, self.quantise_input, x), mix(self.alpha_w, quantise_weight, m.weight)
        else:
            a, w = self.quantise_input(x, self.bits[1]), quantise_weight(m.weight, self.bits[0])
        if isinstance(m, nn.Linear):
            return F.linear(a.flatten(1), w, m.bias)
        return F.conv2d(a, w, m.bias, m.stride, m.padding, groups=m.groups)

    def multiplications(self):
        return self.module.weight.numel() * self.pixels / self.module.stride[0] ** 2 * 1e-6


def reorg(x, s):
    n, c, h, w = x.shape
    return x.view(n, c, h // s, s, w // s, s).permute(0, 3, 5, 1, 2, 4).reshape(n, c * s * s, h // s, w // s)


class Network(nn.Module):
    """From a description that `mixq models` accepts; digits: (weight bits, activation bits), None: a search."""

    def __init__(self, path, digits=None):
        super().__init__()
        with open(path) as file:
            self.description = net = yaml.safe_load(file)
        if net.get("quantizer", "hwgq") != "hwgq":
            raise SystemExit(f"{path}: this benchmark knows the hwgq quantisers only")
        self.shape = tuple(net["input"][key] for key in ("channels", "height", "width"))
        self.nodes, self.layers, self.searched = [], nn.ModuleList(), []
        values, before, counts = {"input": torch.zeros(1, *self.shape)}, "input", Counter()
        for entry in net["layers"]:
            word, keys = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
            prefix = {"batch_norm": "bn", "max_pool": "pool"}.get(word, word)
            name, sources = keys.get("name", f"{prefix}{counts[prefix]}"), keys.get("from", before)
            counts[prefix] += 1
            sources = sources if isinstance(sources, list) else [sources]
            run = self.make(word, keys, values[sources[0]].shape[1:], sources == ["input"], digits)
            self.nodes.append((name, sources, run))
            with torch.no_grad():
                values[name], before = run(*(values[source] for source in sources)), name
        self.grid = values[before].shape[2:]
        self.train()

    def make(self, word, keys, shape, reads_image, digits):
        """What computes the node; modules with parameters also go to self.layers."""
        if word == "max_pool":
            return nn.MaxPool2d(keys.get("kernel", 2), keys.get("stride"))
        if word == "reorg":
            return lambda x: reorg(x, keys.get("stride", 2))
        if word == "concat":
            return lambda *inputs: torch.cat(inputs, 1)
        channels, bias = shape[0], keys.get("bias", word == "linear")
        if word == "batch_norm":
            layer = nn.BatchNorm2d(channels)
        else:
            if word == "linear":
                module = nn.Linear(shape.numel(), keys["out"], bias)
            else:
                k, groups, padding = keys["kernel"], keys.get("groups", 1), keys.get("padding", "same")
                module = nn.Conv2d(channels, keys.get("out", channels), k, keys.get("stride", 1),
                                   (k - 1) // 2 if padding == "same" else padding, bias=bias,
                                   groups=channels if groups == "depthwise" else groups)
            pinned, at = "weight_bits" in keys, len(self.searched)
            bits = (keys["weight_bits"], keys["activation_bits"]) if pinned else (
                digits and tuple(int(d[at % len(d)]) for d in digits))
            layer = Layer(module, bits, reads_image)
            self.searched += [] if pinned else [layer]
        self.layers.append(layer.eval())
        return layer

    def forward(self, x):
        values = {"input": x}
        for name, sources, run in self.nodes:
            values[name] = run(*(values[source] for source in sources))
        return values[name]

    def complexity(self, factors):
        """DSP operations in expectation over the softmaxes, over the multiplications of the first layer."""
        total = 0
        for layer in self.searched:
            shares = torch.outer(F.softmax(layer.alpha_w, 0), F.softmax(layer.alpha_a, 0))
            total += 64 * layer.multiplications() * (shares / factors[layer.module.kernel_size[0]]).sum()
        return total / self.searched[0].multiplications()


def read_factors(path):
    """The published table: kernel size -> multiplications per DSP of weight bits x activation bits 2..8."""
    table = torch.from_numpy(numpy.loadtxt(path, numpy.float32, delimiter=",", skiprows=1))
    return {int(kernel): table[table[:, 0] == kernel, 2:] for kernel in table[:, 0].unique()}


def complete_iou(p, t):
    """CIoU of boxes (centre x, y, width, height) in the last dimension."""
    (p_low, p_high), (t_low, t_high) = ((b[..., :2] - b[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2) for b in (p, t))
    inter = (torch.min(p_high, t_high) - torch.max(p_low, t_low)).clamp(min=0).prod(-1)
    iou = inter / (p[..., 2:].prod(-1) + t[..., 2:].prod(-1) - inter + 1e-16)
    hull = ((torch.max(p_high, t_high) - torch.min(p_low, t_low)) ** 2).sum(-1) + 1e-16
    distance = ((p[..., :2] - t[..., :2]) ** 2).sum(-1) / hull
    aspect = 4 / math.pi**2 * (torch.atan(t[..., 2] / t[..., 3]) - torch.atan(p[..., 2] / p[..., 3])) ** 2
    with torch.no_grad():
        trade_off = aspect / (1 - iou + aspect)
    return iou - distance - trade_off * aspect


def detection_loss(network, output, targets):
    """(box, objectness) of the head; targets: rows of image, class, x, y, w, h (of the image), weight."""
    anchors = torch.tensor(network.description["anchors"], dtype=torch.float32)
    gh, gw = network.grid
    p = output.view(len(output), len(anchors), -1, gh, gw).permute(0, 1, 3, 4, 2)
    image, boxes = targets[:, 0].long(), targets[:, 2:6] * torch.tensor([gw, gh, gw, gh])
    cell = boxes[:, :2].long()
    at = p[image, :, cell[:, 1], cell[:, 0]]
    size = at[..., 2:4].exp().clamp(max=1e3) * anchors / (network.shape[1] // gh)
    predicted = torch.cat([at[..., :2].sigmoid(), size], -1)
    boxes[:, :2] -= cell
    objects, weight = torch.zeros(p.shape[:4]), torch.ones(len(p), 1, 1, 1)
    objects[image, :, cell[:, 1], cell[:, 0]] = 1
    weight[image, 0, 0, 0] = targets[:, 6]
    objectness = F.binary_cross_entropy_with_logits(p[..., 4], objects, weight)
    return 3.54 * (1 - complete_iou(predicted, boxes[:, None].expand_as(predicted))).mean(), 64.3 * objectness
