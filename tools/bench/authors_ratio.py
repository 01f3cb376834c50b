#!/usr/bin/env python3
"""The whole job against the authors' algorithm written plainly in PyTorch, and the parts at equal work, on the same cores.

    pip install torch pyarrow
    python3 tools/bench/authors_ratio.py --data hopper-medium-replay.parquet

It trains models of the preset small for a few steps, since speed does not depend on how good they are, and has `diffstitch augment` attempt stitches with them by its defaults, twice: what the second run takes, from start to end, is compared with the candidates per second of authors_peer.py. The denoiser and its training step are compared by the benchmarks of modelops.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent


def output(*command):
    return subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def whole_job(data, stitches, folder):
    """Attempted stitches per second of a whole command."""
    binary, models = ROOT / "bin/diffstitch", folder / "models"
    output(binary, "train", "--data", data, "--models", models, "--preset", "small", "--steps", 20, "--seed", 1, "--backend", "xla")
    for attempt in ("cold", "warm"):
        start = time.perf_counter()
        said = json.loads(output(binary, "augment", "--json", "--data", data, "--models", models, "--out", folder / attempt,
                                 "--stitches", stitches, "--delta", "off", "--seed", 1, "--backend", "xla"))
        took = time.perf_counter() - start
    return next(stage["in"] for stage in said["stages"] if stage["stage"] == "pair") / took


def benchmark(package, pattern, unit):
    """The figure of one Go benchmark."""
    said = output("go", "test", package, "-run", "^$", "-bench", pattern, "-benchtime", "3s")
    found = re.search(rf"([\d.e+]+) {re.escape(unit)}", said)
    if not found:
        sys.exit(f"no {unit} in:\n{said}")
    return float(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--stitches", type=int, default=4096)
    args = parser.parse_args()
    os.environ["GOEXPERIMENT"] = "simd"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        output(sys.executable, HERE / "authors_peer.py", "--net", "small", "--state-dim", 11, "--action-dim", 3, "--json", folder / "peer.json")
        peer = json.loads((folder / "peer.json").read_text(encoding="utf-8"))
        ours = whole_job(pathlib.Path(args.data).resolve(), args.stitches, folder)
    rows = [
        ("whole job, candidates/s", peer["authors, candidates/s, batch 64"], ours),
        ("denoiser, windows/s, batch 64", peer["forward, windows/s, batch 64"], benchmark("./modelops/diffusion", "Forward/xla/channels=32/batch=64", "windows/s")),
        ("denoiser, windows/s, batch 256", peer["forward, windows/s, batch 256"], benchmark("./modelops/diffusion", "Forward/xla/channels=32/batch=256", "windows/s")),
        ("training step of the denoiser, steps/s, batch 64", peer["training, steps/s, batch 64"], benchmark("./modelops/training", "Step/xla/small/denoiser", "steps/s")),
    ]
    print("| | PyTorch | diffstitch | ratio |\n| --- | --- | --- | --- |")
    for name, theirs, own in rows:
        print(f"| {name} | {theirs:,.2f} | {own:,.2f} | {own / theirs:.2f} |")


if __name__ == "__main__":
    main()
