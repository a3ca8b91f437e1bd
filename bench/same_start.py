#!/usr/bin/env python3
"""The bits of a finished sweep, all from the same start. usage: same_start.py MIXQ SWEEP [OUT]

A search's main training begins at its own weights, sensitivity's at the 8-bit network's. Here every point of the methods
`search` and `published` is trained once more from the 8-bit network of its seed (SWEEP/bases/seedN), with the sweep's
settings, so that what is left is the difference of the bits. Prints means and sample standard deviations beside those of
`sensitivity` and `uniform`, which began there already. OUT (SWEEP/same_start) keeps the runs; finished ones are not run
again."""
import json
import os
import statistics
import subprocess
import sys


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.split("\n\n")[0])
    mixq, sweep = sys.argv[1:3]
    out = sys.argv[3] if len(sys.argv) == 4 else os.path.join(sweep, "same_start")
    setting = json.load(open(os.path.join(sweep, "sweep.json")))["settings"]
    results = json.load(open(os.path.join(sweep, "results.json")))
    quality = results["quality"]
    words = []
    for option, key in (("--model", "model"), ("--data", "data"), ("--limit", "limit"), ("--batch", "batch"), ("--epochs", "epochs"),
                        ("--optimizer", "optimizer"), ("--lr", "lr"), ("--precision", "precision")):
        if setting[key]:
            words += [option, str(setting[key])]
    os.makedirs(out, exist_ok=True)
    groups = {}
    for p in results["points"]:
        if p["stage"] != "trained":
            continue
        name, value = p["name"], p[quality]
        if p["method"] in ("search", "published"):
            done = os.path.join(out, name + ".json")
            if not os.path.exists(done):
                base = os.path.join(sweep, "bases", "seed%d" % p["seed"], "train")
                run = [mixq, "train", *words, "--seed", str(p["seed"]), "--threads", "1", "--bitw", p["bitw"], "--bita", p["bita"],
                       "--init", base, "--out", os.path.join(out, name), "--force", "--quiet", "--json"]
                text = subprocess.run(run, check=True, stdout=subprocess.PIPE).stdout
                with open(done + ".part", "wb") as f:
                    f.write(text)
                os.rename(done + ".part", done)
            value = json.load(open(done))[quality]
        groups.setdefault((p["method"], name.rsplit("-seed", 1)[0]), []).append((p["dsp_ops_M"], value))
    print("| method | %s | spread | M DSP operations |\n|---|---|---|---|" % quality)
    for (method, _), points in groups.items():
        cost, values = zip(*points)
        spread = "%.4f" % statistics.stdev(values) if len(values) > 1 else "-"
        print("| %s | %.4f | %s | %.2f |" % (method, statistics.mean(values), spread, statistics.mean(cost)))


if __name__ == "__main__":
    main()
