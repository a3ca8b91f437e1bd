#!/usr/bin/env python3
"""Whether float32 and bfloat16 find the same: short searches and main trainings of several seeds in each precision.

Every run searches bit widths under a price, then trains at the bits found, from the search's weights. Printed: the bits,
their DSP operations and the test accuracy of every run, then mean and spread over the seeds. The defaults take about
20 minutes on two quiet cores.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIELDS = ("seed", "precision", "weights ", "activations", "DSP ops M", "search acc.", "accuracy", "seconds")


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="vgg_tiny", help="a built-in name or a file (%(default)s)")
    add("--data", default="fashion-mnist", help="as of mixq train (%(default)s)")
    add("--seeds", type=int, default=3, help="seeds 0, 1, ... (%(default)s)")
    add("--precisions", default="f32,bf16", help="(%(default)s)")
    add("--search-limit", type=int, default=12000, help="images of a search's epoch (%(default)s)")
    add("--search-epochs", type=int, default=2, help="(%(default)s)")
    add("--train-limit", type=int, default=18000, help="images of a main training's epoch (%(default)s)")
    add("--train-epochs", type=int, default=4, help="(%(default)s)")
    add("--batch", type=int, default=64, help="images per step (%(default)s): few images must do many steps")
    add("--cd", default="1e-3", help="the search's price of DSP operations (%(default)s)")
    add("--threads", type=int, default=0, help="(all cores)")
    add("--mixq", default=ROOT / "build" / "mixq", help="the program (build/mixq)")
    add("--out", type=pathlib.Path, help="all results, JSON")
    args = parser.parse_args()
    if not shutil.which(args.mixq):
        parser.error(f"--mixq: no program {args.mixq}; make builds it")
    return args


def mixq(args, *words):
    command = [args.mixq, *words, "--model", args.model, "--data", args.data, "--batch", args.batch, "--json", "--quiet",
               "--force"] + (["--threads", args.threads] if args.threads else [])
    result = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"precision_seeds: mixq {words[0]} ended with {result.returncode}")
    return json.loads(result.stdout)


def run(args, folder, seed, precision):
    began = time.monotonic()
    search, main = folder / f"search-{seed}-{precision}", folder / f"main-{seed}-{precision}"
    common = ("--seed", seed, "--precision", precision)
    found = mixq(args, "search", "--cd", args.cd, "--epochs", args.search_epochs, "--limit", args.search_limit, "--out",
                 search, *common)
    trained = mixq(args, "train", "--bits", search, "--init", search, "--epochs", args.train_epochs, "--limit",
                   args.train_limit, "--out", main, *common)
    return {"seed": seed, "precision": precision, "bitw": found["bitw"], "bita": found["bita"],
            "dsp_ops_M": found["dsp_ops_M"], "search_accuracy": found["accuracy"], "accuracy": trained["accuracy"],
            "seconds": time.monotonic() - began}


def row(*cells):
    print("| " + " | ".join(str(cell).ljust(len(field)) for cell, field in zip(cells, FIELDS)) + " |", flush=True)


def mean_and_spread(values):
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.4g} +- {spread:.2g} ({min(values):.4g}..{max(values):.4g})"


def main():
    args, results = read_arguments(), []
    row(*FIELDS)
    row(*("-" * len(field) for field in FIELDS))
    with tempfile.TemporaryDirectory(prefix="mixq-seeds-") as folder:
        for seed in range(args.seeds):
            for precision in args.precisions.split(","):
                r = run(args, pathlib.Path(folder), seed, precision)
                results.append(r)
                row(seed, precision, r["bitw"], r["bita"], f"{r['dsp_ops_M']:.2f}", f"{r['search_accuracy']:.4f}",
                    f"{r['accuracy']:.4f}", f"{r['seconds']:.0f}")
                if args.out:
                    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nmean +- standard deviation (lowest..highest) over {args.seeds} seeds")
    for precision in args.precisions.split(","):
        mine = [r for r in results if r["precision"] == precision]
        print(f"{precision}: accuracy {mean_and_spread([r['accuracy'] for r in mine])}, DSP ops M "
              f"{mean_and_spread([r['dsp_ops_M'] for r in mine])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
