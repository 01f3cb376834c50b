#!/usr/bin/env python3
"""Compares the denoiser's samplers and their steps by what becomes of the bridges.

    pip install matplotlib
    python3 tools/bench/samplers.py --data DATA --models MODELS --env ENV --plot samplers.png -- --backend xla

For each sampler it runs `diffstitch augment` and has the environment's simulator judge the D* (`diffstitch evaluate --truth`), for several seeds. It prints a table of means over the seeds, with the spread (standard deviation) of the shares, and draws true accepted stitches per second against the share that is accepted. What stands after -- goes to augment.

true of the accepted is the share of the stitched episodes that the simulator finds true in every transition. stitches/s is attempted stitches by the time of `stitch` of the manifest's durations; true/s counts those of them that are accepted and true. marginals is the manifest's marginal score.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLERS = [(kind, steps) for kind in ("ddim", "dpm", "ddpm") for steps in (3, 5, 10, 20, 50)] + [("ddpm", 0)]


def run(*arguments):
    done = subprocess.run([ROOT / "bin/diffstitch", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
    if done.returncode != 0:
        sys.exit(f"diffstitch {' '.join(map(str, arguments))}\n{done.stderr}")
    return json.loads(done.stdout)


def measure(args, extra, kind, steps, seed, out):
    published = run("augment", "--json", "--data", args.data, "--models", args.models, "--out", out, "--stitches", args.stitches,
                    "--sampler", kind, "--sampler-steps", steps, "--seed", seed, *extra)
    truth = run("evaluate", "--json", "--truth", out, "--env", args.env, "--out", out / "truth")
    seconds = next(d["seconds"] for d in published["durations"] if d["stage"] == "stitch")
    quality, episodes = published["quality"], [g["episodes"] for g in truth["generated"].values()][0]
    return {
        "rate": args.stitches / seconds, "accepted": quality["acceptance"], "true": episodes["true"], "worst": episodes["worst"],
        "error": quality["qualification_error"], "marginals": quality["marginal_score"],
        "true rate": args.stitches * quality["acceptance"] * episodes["true"] / seconds,
    }


def draw(path, rows):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for kind, marker in (("ddim", "o"), ("dpm", "s"), ("ddpm", "^")):
        of = [(r["true rate"], 100 * r["accepted"], steps) for (k, steps), r in rows.items() if k == kind]
        axes.plot([x for x, _, _ in of], [y for _, y, _ in of], marker + "-", label={"ddim": "DDIM", "dpm": "DPM-Solver++(2M)", "ddpm": "DDPM"}[kind])
        for x, y, steps in of:
            axes.annotate(steps or 100, (x, y), textcoords="offset points", xytext=(4, 5), fontsize=8)
    axes.set_xlabel("accepted and true stitches per second")
    axes.set_ylabel("accepted, %")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(title="steps beside the marks")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--stitches", type=int, default=1024)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=["ddim", "dpm", "ddpm"], help="one kind of sampler")
    parser.add_argument("--plot", help="picture to draw")
    own, extra = (sys.argv[1:], []) if "--" not in sys.argv else (sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:])
    args = parser.parse_args(own)
    rows = {}
    print("| sampler | steps | stitches/s | accepted | of them true throughout | worst true error | qualification error | marginals | true/s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind, steps in [s for s in SAMPLERS if args.only in (None, s[0])]:
        with tempfile.TemporaryDirectory() as folder:
            figures = [measure(args, extra, kind, steps, seed, pathlib.Path(folder) / str(seed)) for seed in range(1, args.seeds + 1)]
        mean = {name: statistics.mean(f[name] for f in figures) for name in figures[0]}
        spread = {name: statistics.stdev([f[name] for f in figures]) if len(figures) > 1 else 0 for name in figures[0]}
        rows[kind, steps] = mean
        print(f"| {kind} | {steps or 100} | {mean['rate']:.0f} | {100 * mean['accepted']:.1f} ± {100 * spread['accepted']:.1f} % | "
              f"{100 * mean['true']:.1f} ± {100 * spread['true']:.1f} % | {mean['worst']:.3g} | {mean['error']:.3g} | {mean['marginals']:.2f} | {mean['true rate']:.0f} |", flush=True)
    if args.plot:
        draw(args.plot, rows)


if __name__ == "__main__":
    main()
