#!/usr/bin/env python3
"""Time per epoch on several ranks of this machine, what they send and how long they wait (docs/parallel.md).

Each round runs every case RANKSxTHREADS once, in an order that turns; shown are medians. A program built with MPI
is needed (preset mpi).
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def cases(text):
    return [tuple(int(n) for n in word.split("x")) for word in text.split(",")]


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="vgg_tiny", help="a built-in name or a file (%(default)s)")
    add("--data", default="fashion-mnist", help="(%(default)s)")
    add("--mode", choices=["search", "float"], default="search", help="(%(default)s)")
    add("--precision", default="auto", help="f32, bf16 or auto (%(default)s)")
    add("--batch", type=int, default=128, help="images per step of all ranks together (%(default)s)")
    add("--images", type=int, default=2048, help="of an epoch (%(default)s)")
    add("--cases", type=cases, default=cases("1x1,1x2,2x1,4x1"), help="ranks x threads (1x1,1x2,2x1,4x1)")
    add("--rounds", type=int, default=3, help="(%(default)s)")
    add("--mixq", default=ROOT / "build-mpi" / "mixq", help="the program (build-mpi/mixq)")
    add("--mpirun", default="mpirun --oversubscribe --bind-to none", help="(%(default)s)")
    add("--out", type=pathlib.Path, help="all numbers, JSON")
    args = parser.parse_args()
    if not shutil.which(args.mixq):
        parser.error(f"--mixq: no program {args.mixq}; cmake --preset mpi && cmake --build --preset mpi makes it")
    return args


def run(args, ranks, threads, folder):
    words = args.mpirun.split() + ["-n", ranks] if ranks > 1 else []
    words += [args.mixq, "search" if args.mode == "search" else "train", "--model", args.model, "--data", args.data,
              "--precision", args.precision, "--batch", args.batch, "--limit", args.images, "--epochs", 1, "--threads",
              threads, "--out", folder, "--force", "--json", "--quiet"]
    words += [] if args.mode == "search" else ["--float"]
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       OMP_WAIT_POLICY="passive")
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"ranks: {' '.join(str(word) for word in words)} ended with {done.returncode}")
    result = json.loads(done.stdout)
    seconds = args.images / result["images_per_second"]
    row = {"seconds": seconds, "gradient_bytes": 0, "statistics_bytes": 0, "sums": 0, "gradient_wait": 0,
           "statistics_wait": 0}
    if "ranks" in result:
        of = result["ranks"]
        row.update(gradient_bytes=of["gradient_bytes_per_step"], statistics_bytes=of["statistics_bytes_per_step"],
                   sums=of["sums_per_step"], gradient_wait=of["gradient_wait_seconds"] / seconds,
                   statistics_wait=of["statistics_wait_seconds"] / seconds)
    return row


def main():
    args = read_arguments()
    order = list(args.cases)
    rows = {case: [] for case in order}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for case in order:
                rows[case].append(run(args, *case, folder))
            order.append(order.pop(0))
    print(f"{args.model}, {args.mode}, {args.precision}, batch {args.batch}, {args.images} images an epoch, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("ranks x threads | s per epoch (least..most) | images/s | gradients/step | statistics/step | sums/step | "
          "waits: gradients | statistics")
    for ranks, threads in args.cases:
        of = rows[ranks, threads]
        middle = {key: statistics.median(row[key] for row in of) for key in of[0]}
        seconds = [row["seconds"] for row in of]
        print(f"{ranks} x {threads} | {middle['seconds']:.2f} ({min(seconds):.2f}..{max(seconds):.2f}) | "
              f"{args.images / middle['seconds']:.0f} | {middle['gradient_bytes'] / 1e6:.2f} MB | "
              f"{middle['statistics_bytes'] / 1e3:.1f} kB | {middle['sums']:.0f} | {100 * middle['gradient_wait']:.0f} % | "
              f"{100 * middle['statistics_wait']:.0f} %")
    if args.out:
        args.out.write_text(json.dumps([{"ranks": r, "threads": t, "rounds": rows[r, t]} for r, t in args.cases], indent=1))


if __name__ == "__main__":
    main()
