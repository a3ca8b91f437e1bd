#!/usr/bin/env python3
"""Training steps of mixq beside PyTorch's, in turns on the same machine (docs/benchmarks.md).

Needs a python3 with torch, numpy and yaml for the PyTorch side; says so and ends with 0 when there is none.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKER = ROOT / "bench" / "torch_step.py"
GOLDEN = pathlib.Path(os.environ.get("MIXQ_GOLDEN", ROOT.parent / "shared" / "golden"))
CASES = "vgg_tiny:128,ultranet:16,skynet:4,skynetk5:4"
PRECISIONS = ("auto", "f32")
LEAST_ROUNDS = 3
COLUMNS = ("network  ", "batch", "mode  ", "precision ", "images/s", "PyTorch", "ratio (10..90 %)   ", "conv-only",
           "of it", "peak MB", "PyTorch MB", "part")


def find_python(wanted):
    for python in [wanted] if wanted else [sys.executable, "python3", "/usr/bin/python3"]:
        probe = [python, "-c", "import torch, numpy, yaml"]
        if shutil.which(python) and subprocess.run(probe, capture_output=True).returncode == 0:
            return python
    return None


def run_mixq(args, *words):
    result = subprocess.run([args.mixq, *map(str, words), "--json"], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"compare_torch: mixq {words[0]} ended with {result.returncode}")
    return json.loads(result.stdout)


def answer(worker, request=""):
    worker.stdin.write(request)
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"compare_torch: the PyTorch process ended with {worker.wait()}")
    return json.loads(line)


def spread(values):
    tenths = statistics.quantiles(values, n=10, method="inclusive") if len(values) > 1 else values
    return {"median": statistics.median(values), "p10": tenths[0], "p90": tenths[-1]}


def measure(args, model, batch, mode, seconds):
    """Rounds of ours in each precision and of PyTorch's, each starting with another side; a result per precision."""
    end, longest, done, path = time.monotonic() + seconds, 0, 0, ROOT / "models" / f"{model}.yaml"
    worker = subprocess.Popen([args.python, WORKER, path, mode, str(batch)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    about = answer(worker)
    sides = {side: ("bench", "--model", path, "--mode", mode, "--batch", batch, "--precision", side, "--steps",
                    args.steps, "--threads", args.threads) for side in PRECISIONS} | {"torch": None}
    order, rounds = list(sides), {side: [] for side in sides}
    while done < (args.rounds or LEAST_ROUNDS) or (not args.rounds and time.monotonic() + longest < end):
        began = time.monotonic()
        for side in order:
            words = sides[side]
            rounds[side].append(run_mixq(args, *words) if words else answer(worker, f"{args.steps}\n"))
        order.append(order.pop(0))
        longest, done = max(longest, time.monotonic() - began), done + 1
    worker.communicate()
    theirs = rounds.pop("torch")
    their_rates, their_mb = [batch / statistics.median(r["seconds"]) for r in theirs], theirs[-1]["peak_mb"]
    for asked, ours in rounds.items():
        rates, convs = ([r[key] for r in ours] for key in ("images_per_second", "conv_images_per_second"))
        peak = max(r["peak_mb"] for r in ours)
        yield {
            "model": model, "batch": batch, "mode": mode, "asked": asked, "precision": ours[0]["precision"],
            "rounds": done, "images_per_second": spread(rates), "torch_images_per_second": spread(their_rates),
            "ratio": spread([a / b for a, b in zip(rates, their_rates)]), "conv_images_per_second": spread(convs),
            "of_conv_only": spread([a / b for a, b in zip(rates, convs)]), "peak_mb": peak, "torch_peak_mb": their_mb,
            "memory_part": peak / their_mb, "torch": about["torch"], "torch_blas": about["blas"],
        }


def print_row(cells):
    print("| " + " | ".join(str(cell).ljust(len(column)) for cell, column in zip(cells, COLUMNS)) + " |", flush=True)


def print_result(r):
    rates = [f"{r[k + 'images_per_second']['median']:.1f}" for k in ("", "torch_", "conv_")]
    ratio = "{median:.2f} ({p10:.2f}..{p90:.2f})".format(**r["ratio"])
    precision = r["precision"] if r["asked"] == r["precision"] else f"{r['asked']}: {r['precision']}"
    print_row((r["model"], r["batch"], r["mode"], precision, *rates[:2], ratio, rates[2],
               f"{r['of_conv_only']['median']:.0%}", f"{r['peak_mb']:.0f}", f"{r['torch_peak_mb']:.0f}",
               f"{r['memory_part']:.2f}"))


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--cases", default=CASES, help="networks of models/ and images per step (%(default)s)")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of both sides (all cores: %(default)s)")
    add("--minutes", type=float, default=15, help="for all, divided evenly (%(default)s); at least 3 rounds each")
    add("--rounds", type=int, help="this many rounds each, instead of --minutes")
    add("--steps", type=int, default=5, help="timed steps of each side per round (%(default)s)")
    add("--mixq", default=ROOT / "build" / "mixq", help="the program (build/mixq)")
    add("--python", help="a python3 that has torch (the first that is found)")
    add("--check", action="store_true", help="only check PyTorch's step against the published numbers")
    add("--out", type=pathlib.Path, default="bench-torch.json", help="all numbers (%(default)s)")
    args = parser.parse_args()
    try:
        args.cases = [(model, int(batch)) for model, batch in (case.split(":") for case in args.cases.split(","))]
    except ValueError:
        parser.error(f"--cases: got {args.cases}, expected NAME:BATCH,NAME:BATCH...")
    for model, _ in args.cases:
        if not (ROOT / "models" / f"{model}.yaml").is_file():
            parser.error(f"--cases: no models/{model}.yaml")
    if not args.check and not shutil.which(args.mixq):
        parser.error(f"--mixq: no program {args.mixq}; make builds it")
    args.python = find_python(args.python)
    return args


def main():
    args = read_arguments()
    if not args.python:
        print("compare_torch: skipped: no python3 with torch, numpy and yaml (Debian: tools/deps.sh torch)")
        return 0
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    if not GOLDEN.is_dir():
        print(f"PyTorch's step is not checked: no published numbers in {GOLDEN} (MIXQ_GOLDEN)")
    elif subprocess.run([args.python, WORKER, "check", GOLDEN]).returncode:
        return 1
    if args.check:
        return 0
    report = {"schema": 1, "threads": args.threads, "steps": args.steps, "doctor": run_mixq(args, "doctor")}
    report["results"] = results = []
    cases = [(*case, mode) for case in args.cases for mode in ("search", "train")]
    print(f"\n{args.threads} threads; medians of rounds of {args.steps} steps, ratios within a round\n")
    print_row(COLUMNS)
    print_row("-" * len(column) for column in COLUMNS)
    for case in cases:
        for result in measure(args, *case, 60 * args.minutes / len(cases)):
            results.append(result)
            print_result(result)
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    if any(name.startswith("blas/") for name in results[0]["torch_blas"]):
        print("\nNOT FAIR: PyTorch called Debian's slow reference BLAS; install OpenBLAS (tools/deps.sh torch)")
    print(f"\nall numbers: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
