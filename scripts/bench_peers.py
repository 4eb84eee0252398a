#!/usr/bin/env python3
"""Lockstep beside PyTorch DDP: milliseconds a training step, on this machine, in the same minutes.

    make bench-peers                                              all cases, 3 rounds
    make bench-peers ARGS="--case mlp_small --rounds 1"           one, quickly

Each round runs both, one after the other, so that whatever else the machine does falls on both. The
table gives medians over rounds, and how many times faster Lockstep is, beside what the project aims at.
For 1 x 2 on mlp_mid and mlp_big it also gives the step over the arithmetic floor. Lockstep's number is
a whole step of real worker processes over gRPC; PyTorch's is a whole step without any data loading.
PyTorch multiplies with the widest vectors that the processor has, Lockstep with those of the run's
kernel: compare also with --kernel SkylakeX on a processor with AVX-512.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# Rows of a step, and steps that are timed.
CASES = {"tab": (4096, 100), "mlp_small": (256, 100), "mlp_mid": (512, 20), "mlp_big": (512, 10), "cnn": (256, 20)}
# Processes x threads, and how Lockstep's gradients and weights travel.
SETTINGS = [("2x1", "f32"), ("2x1", "bf16"), ("1x2", "f32"), ("4x1", "f32")]
# Only what is large gains from a narrower wire on one machine.
BF16 = {"mlp_mid", "mlp_big"}
# How many times faster than PyTorch.
TARGETS = {
    ("2x1", "f32"): {"tab": 2.0, "mlp_small": 1.6, "mlp_mid": 1.1, "mlp_big": 1.1, "cnn": 1.7},
    ("2x1", "bf16"): {"mlp_big": 1.15},
    ("1x2", "f32"): {"tab": 1.5, "mlp_small": 1.2, "mlp_mid": 1.1, "mlp_big": 1.05, "cnn": 1.7},
    ("4x1", "f32"): dict.fromkeys(CASES, 1.15),
}
# At most so many times the floor, at 1 x 2.
FLOOR = {"mlp_mid": 1.25, "mlp_big": 1.25}


def lines_of(command):
    """The JSON objects that a command prints, one a line; anything else it prints is passed over."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(map(str, command))}` failed with exit code {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def one_line(command, case, batch):
    (row,) = lines_of(command)
    if row["batch"] != batch:
        sys.exit(f"{case}: a step of {row['batch']} rows cannot be compared with one of {batch}")
    return row


def ours(case, cluster, wire, options):
    batch, steps = CASES[case]
    command = [TARGET / "release" / "bench", "--json", "--no-prediction", "--case", case, "--steps", steps]
    command += ["--clusters", cluster, "--wire", wire, "--shards", options.shards]
    command += ["--kernel", options.kernel] if options.kernel else []
    return one_line(command, case, batch)


def theirs(case, cluster):
    batch, steps = CASES[case]
    command = [sys.executable, ROOT / "scripts" / "torch_ddp.py", case, batch, steps, cluster]
    return one_line(command, case, batch)["ms"]


def settings_of(case, options):
    wanted = [setting for setting in SETTINGS if setting[1] == "f32" or case in BF16]
    return [(cluster, wire) for cluster, wire in wanted if not options.clusters or cluster in options.clusters]


def measure(case, options):
    """For each setting: Lockstep's milliseconds and floors, and PyTorch's milliseconds, one a round."""
    settings = settings_of(case, options)
    lockstep = {setting: [] for setting in settings}
    floors = {setting: [] for setting in settings}
    pytorch = {cluster: [] for cluster, _ in settings}
    for _ in range(options.rounds):
        for cluster in pytorch:
            pytorch[cluster].append(theirs(case, cluster))
            for setting in (setting for setting in settings if setting[0] == cluster):
                row = ours(case, *setting, options)
                lockstep[setting].append(row["ms"])
                floors[setting].append(row["ms"] / row["floor_ms"])
    return lockstep, floors, pytorch


def line(case, setting, lockstep, floors, pytorch, options):
    ours_ms, theirs_ms = statistics.median(lockstep), statistics.median(pytorch)
    floor, target = statistics.median(floors), TARGETS[setting].get(case)
    most = FLOOR.get(case) if setting[0] == "1x2" else None
    if options.json:
        return json.dumps({
            "case": case, "batch": CASES[case][0], "cluster": setting[0], "wire": setting[1], "shards": options.shards,
            "lockstep_ms": ours_ms, "pytorch_ms": theirs_ms, "faster": theirs_ms / ours_ms, "target": target,
            "over_floor": floor, "most_over_floor": most, "load": os.getloadavg()[0]})
    text = f"{case:<10} {CASES[case][0]:>5} {setting[0]:>7} {setting[1]:>5} {ours_ms:>11.2f} {theirs_ms:>10.2f}"
    text += f" {theirs_ms / ours_ms:>8.2f}x" + (f" {target:>6.2f}x" if target else " " * 8)
    return text + f" {floor:>8.2f}" + (f"  at most {most:.2f}" if most else "")


def main():
    parser = argparse.ArgumentParser(description="Lockstep beside PyTorch DDP.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--case", action="append", default=[], choices=CASES, help="the same, once for each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clusters", type=lambda text: text.split(","), help="such as 2x1,1x2; default: all")
    parser.add_argument("--shards", default="8", help='of Lockstep\'s runs; "workers": workers times threads')
    parser.add_argument("--kernel", help="BLAS kernel of Lockstep's runs; default: Lockstep's own")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    options = parser.parse_args()
    cases = options.cases + options.case or list(CASES)
    if set(cases) - set(CASES):
        parser.error(f"unknown case: {', '.join(sorted(set(cases) - set(CASES)))}")
    if options.rounds < 1:
        parser.error("--rounds is at least 1")

    if not options.json:
        kernel = options.kernel or "the default kernel"
        print(f"{kernel}, {options.shards} shards, medians of {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
        print("case        rows cluster  wire Lockstep ms PyTorch ms    faster  target  x floor")
    for case in cases:
        lockstep, floors, pytorch = measure(case, options)
        for setting in lockstep:
            print(line(case, setting, lockstep[setting], floors[setting], pytorch[setting[0]], options), flush=True)


if __name__ == "__main__":
    main()
