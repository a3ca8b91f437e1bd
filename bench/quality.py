#!/usr/bin/env python3
"""Curves of a sweep compared at equal quality. usage: quality.py results.json ['other name'=results.json ...]

Per method the groups' means are joined by straight lines over the logarithm of the cost; for every group of another
method the cost of a method at the same quality is read off its line (nothing beyond its ends). Spreads are sample
standard deviations over seeds. The searches of further files count as methods of their own."""
import json
import math
import sys

COSTS = {"dsp_ops_M": "M DSP operations", "cycles": "cycles"}


def curves(path, label=None):
    result = json.load(open(path))
    quality = result["quality"]
    out = {}
    for g in result["groups"]:
        if g[quality] is None or (label and g["method"] != "search"):
            continue
        out.setdefault(label or g["method"], []).append(g)
    return quality, out


def at(points, quality):
    """The least cost of this quality on the line through (cost, quality), or None."""
    best = None
    points = sorted(points)
    for (c0, q0), (c1, q1) in zip(points, points[1:]):
        if min(q0, q1) <= quality <= max(q0, q1):
            part = (quality - q0) / (q1 - q0) if q1 != q0 else 0
            cost = math.exp(math.log(c0) + part * (math.log(c1) - math.log(c0)))
            best = cost if best is None else min(best, cost)
    return best


def number(value, form):
    return "-" if value is None else form % value


def main():
    quality, methods = curves(sys.argv[1])
    for word in sys.argv[2:]:
        label, path = word.split("=", 1)
        methods.update(curves(path, label)[1])
    print("| method | %s | spread | M DSP operations | cycles | bits of the best seed |" % quality)
    print("|---|---|---|---|---|---|")
    for name, groups in methods.items():
        for g in sorted(groups, key=lambda g: g["dsp_ops_M"]):
            print("| %s | %.4f | %s | %.2f | %s | %s / %s |" % (
                name, g[quality], number(g["accuracy_spread"], "%.4f"), g["dsp_ops_M"], number(g["cycles"], "%.0f"), g["bitw"], g["bita"]))
    for cost, unit in COSTS.items():
        lines = {n: [(g[cost], g[quality]) for g in groups if g[cost]] for n, groups in methods.items()}
        print("\nat equal %s, %s against `search`:" % (quality, unit))
        for name in lines:
            if name == "search":
                continue
            part = []
            for c, q in sorted(lines[name]):
                ours = at(lines["search"], q)
                part.append("%.4f: %s" % (q, "%+.1f %%" % (100 * (c / ours - 1)) if ours else "beyond its line"))
            print("  %-14s %s" % (name, ", ".join(part)))


if __name__ == "__main__":
    main()
