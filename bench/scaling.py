#!/usr/bin/env python3
"""How a step's time per image depends on the batch, and its speed on the threads (docs/benchmarks.md).

Each round runs every case once, in an order that turns; ratios are taken within a round.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def numbers(text):
    return [int(word) for word in text.split(",")]


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="vgg_tiny", help="a built-in name or a file (%(default)s)")
    add("--modes", default="train,search", help="of train, search, infer (%(default)s)")
    add("--precisions", default="bf16,f32", help="of f32, bf16, auto (%(default)s)")
    add("--batches", type=numbers, default=[32, 64, 128, 256], help="images per step (32,64,128,256)")
    add("--threads", type=numbers, default=[1, 2], help="numbers of threads, at --batch (1,2)")
    add("--batch", type=int, default=128, help="images per step of the comparison of threads (%(default)s)")
    add("--rounds", type=int, default=5, help="(%(default)s)")
    add("--images", type=int, default=768, help="per case and round, at least (%(default)s)")
    add("--mixq", default=ROOT / "build" / "mixq", help="the program (build/mixq)")
    add("--out", type=pathlib.Path, help="all numbers, JSON")
    args = parser.parse_args()
    if not shutil.which(args.mixq):
        parser.error(f"--mixq: no program {args.mixq}; make builds it")
    return args


def rate(args, mode, precision, batch, threads):
    """Images per second of one case."""
    words = [args.mixq, "bench", "--model", args.model, "--mode", mode, "--precision", precision, "--batch", batch,
             "--threads", threads, "--steps", max(3, -(-args.images // batch)), "--json", "--quiet"]
    result = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"scaling: mixq bench ended with {result.returncode}")
    return json.loads(result.stdout)["images_per_second"]


def measure(args, mode, precision):
    most = max(args.threads)
    cases = list(dict.fromkeys([(b, most) for b in args.batches] + [(args.batch, t) for t in args.threads]))
    rates = {case: [] for case in cases}
    for _ in range(args.rounds):
        for case in cases:
            rates[case].append(rate(args, mode, precision, *case))
        cases.append(cases.pop(0))
    return rates


def report(args, mode, precision, rates):
    most, median = max(args.threads), statistics.median
    per_image = {b: 1e3 * median(1 / r for r in rates[b, most]) for b in args.batches}
    flat = max(per_image.values()) / min(per_image.values()) - 1
    words = ", ".join(f"{b}: {ms:.2f}" for b, ms in per_image.items())
    print(f"{args.model} {mode} {precision}, {most} threads, ms per image by batch: {words}; slowest {flat:.0%} over fastest")
    speedup = {}
    for threads in sorted(args.threads)[1:]:
        pairs = zip(rates[args.batch, threads], rates[args.batch, min(args.threads)])
        speedup[threads] = median(a / b for a, b in pairs)
        print(f"{args.model} {mode} {precision}, batch {args.batch}: {threads} threads are {speedup[threads]:.2f} times as "
              f"fast as {min(args.threads)}")
    sys.stdout.flush()
    return {"model": args.model, "mode": mode, "precision": precision, "ms_per_image": per_image, "spread": flat,
            "speedup": speedup, "images_per_second": [[*case, values] for case, values in rates.items()]}


def main():
    args = read_arguments()
    have = len(os.sched_getaffinity(0))
    if max(args.threads) > have:
        print(f"scaling: {max(args.threads)} threads on {have} processors: the numbers mean little")
    results = [report(args, mode, precision, measure(args, mode, precision))
               for mode in args.modes.split(",") for precision in args.precisions.split(",")]
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
