#!/usr/bin/env python3
"""Lockstep beside PyTorch DDP: milliseconds a training step, on this machine, in the same minutes.

usage: bench_peers.py [--rounds N] [--kernel KERNEL] [CASE ...]        (make bench-peers ARGS="mlp_small")

Each round runs both, one after the other, so that whatever else the machine does falls on both. The
table gives medians over rounds and their ratio: below 1, Lockstep is faster. Lockstep's number is a
whole step of real worker processes over gRPC; PyTorch's is a whole step without any data loading.
PyTorch multiplies with the widest vectors that the processor has, Lockstep with those of the run's
kernel: compare also with --kernel SkylakeX on a processor with AVX-512.
"""
import argparse
import collections
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# Rows of a step, and steps that are timed.
CASES = {"tab": (4096, 100), "mlp_small": (256, 100), "mlp_mid": (512, 20), "mlp_big": (512, 10)}
SETTINGS = [(1, 1), (1, 2), (2, 1), (4, 1)]  # processes, threads


def lines_of(command):
    """The JSON objects that a command prints, one a line; anything else it prints is passed over."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(map(str, command))}` failed with exit code {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def ours(case, kernel):
    batch, steps = CASES[case]
    command = [TARGET / "release" / "bench", "--json", "--case", case, "--steps", steps]
    command += ["--kernel", kernel] if kernel else []
    return {(row["workers"], row["threads"]): checked(row, batch) for row in lines_of(command)}


def theirs(case, _):
    batch, steps = CASES[case]
    command = [sys.executable, ROOT / "scripts" / "torch_ddp.py", case, batch, steps, "sgd"]
    return {(row["processes"], row["threads"]): checked(row, batch) for row in lines_of(command)}


def checked(row, batch):
    if row["batch"] != batch:
        sys.exit(f"{row['case']}: a step of {row['batch']} rows cannot be compared with one of {batch}")
    return row["ms"]


def main():
    parser = argparse.ArgumentParser(description="Lockstep beside PyTorch DDP.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kernel", help="BLAS kernel of Lockstep's runs; default: Lockstep's own")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown or options.rounds < 1:
        parser.error(f"unknown case: {', '.join(sorted(unknown))}" if unknown else "--rounds is at least 1")

    print(f"{'case':<10} {'rows':>5} {'processes':>9} {'threads':>7} {'Lockstep ms':>12} {'PyTorch ms':>11} ratio")
    for case in options.cases or CASES:
        measured = collections.defaultdict(lambda: ([], []))
        for _ in range(options.rounds):
            for side, run in enumerate((ours, theirs)):
                for setting, ms in run(case, options.kernel).items():
                    measured[setting][side].append(ms)
        for setting in SETTINGS:
            lockstep, pytorch = measured[setting]
            if lockstep and pytorch:
                a, b = statistics.median(lockstep), statistics.median(pytorch)
                print(f"{case:<10} {CASES[case][0]:>5} {setting[0]:>9} {setting[1]:>7} {a:>12.2f} {b:>11.2f} {a / b:>5.2f}",
                      flush=True)


if __name__ == "__main__":
    main()
