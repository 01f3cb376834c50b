#!/usr/bin/env python3
"""Reads what run.sh left in a folder and prints it as one table.

    python3 table.py results
"""

import json
import pathlib
import re
import sys


def steps(folder):
    """The steps by name: seconds, exit status, how busy the card was in percent."""
    found = {}
    for line in (folder / "steps.tsv").read_text(encoding="utf-8").splitlines():
        name, seconds, code, busy = line.split("\t")
        found[name] = (float(seconds), int(code), busy)
    return found


def metrics(log):
    """The figures of Go's benchmarks: name, then value and unit by pairs."""
    for line in log.read_text(encoding="utf-8").splitlines():
        if not line.startswith("Benchmark"):
            continue
        name, _, *values = line.split()
        for value, unit in zip(values[::2], values[1::2]):
            if unit not in ("ns/op", "B/op", "allocs/op"):
                yield re.sub(r"-\d+$", "", name.removeprefix("Benchmark")), float(value), unit


def rows(folder):
    ran = steps(folder)
    for name, (seconds, code, busy) in ran.items():
        log = folder / f"{name}.log"
        if name.startswith("test-"):
            passed = {0: "pass", 124: "not done in time"}.get(code, "FAIL")
            yield name.removeprefix("test-") + ", tests in float32", passed, f"{seconds:.0f} s", "-"
        elif code != 0:
            yield name, f"exit status {code}", f"{seconds:.0f} s", busy
        elif name.startswith("bench-"):
            for metric, value, unit in metrics(log):
                yield metric, f"{value:,.0f} {unit}", f"{seconds:.0f} s", busy
        elif name.startswith("augment-"):
            said = json.loads(log.with_suffix(".json").read_text(encoding="utf-8"))
            attempted = next(stage["in"] for stage in said["stages"] if stage["stage"] == "pair")
            yield name, f"{attempted / seconds:,.0f} stitches/s, {attempted:,} in all", f"{seconds:.1f} s", busy
        elif name.startswith("peer-"):
            for metric, value in json.loads((folder / f"{name}.json").read_text(encoding="utf-8")).items():
                yield f"PyTorch, {name.removeprefix('peer-')}: {metric}", f"{value:,.0f}", f"{seconds:.0f} s", busy
        else:
            yield name, "done", f"{seconds:.1f} s", busy


def main():
    folder = pathlib.Path(sys.argv[1])
    print("| what | figure | took | card busy, % |\n| --- | --- | --- | --- |")
    failed = False
    for row in rows(folder):
        failed |= row[1] == "FAIL" or row[1].startswith("exit status")
        print("| " + " | ".join(row) + " |")
    sys.exit(failed)


if __name__ == "__main__":
    main()
