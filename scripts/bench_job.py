#!/usr/bin/env python3
"""A whole job beside PyTorch DDP: seconds from the command to a model of 0.90, start and reading included.

    make bench-job                                examples/fashion-mnist-cnn.toml after examples/fetch-fashion-mnist.sh
    make bench-job ARGS="--epochs 2 --rounds 1"   if it is known how many epochs are enough

Both sides train the same network with the same optimizer and batch on two processes of one thread, and
evaluate after every epoch. First each side's smallest number of epochs is sought whose run (its schedule
too is that long) reaches the accuracy. Then those runs are timed, alternating, and medians compared.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
RUN = ROOT / "examples" / "fashion-mnist-cnn.toml"
DATA = ROOT / "examples" / "data" / "fashion-mnist"
PROCESSES = 2
MOST_EPOCHS = 8
# Of PyTorch's time.
AIM = 0.6


def timed(command):
    start = time.perf_counter()
    done = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"`{' '.join(map(str, command))}` failed with exit code {done.returncode}\n{done.stderr}")
    return seconds, done.stdout


def lockstep(epochs, options):
    """Seconds, and the accuracy at the end."""
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder) / "run"
        command = [TARGET / "release" / "lockstep", "train", RUN, "--workers", PROCESSES, "--run-dir", directory]
        settings = [f"train.epochs={epochs}"] + ([f"cluster.kernel={options.kernel}"] if options.kernel else [])
        seconds, _ = timed(command + [part for setting in settings for part in ("--set", setting)])
        return seconds, json.loads((directory / "results.json").read_text())["validation"]["accuracy"]


def pytorch(epochs, options):
    script = ROOT / "scripts" / "torch_fashion.py"
    seconds, output = timed([sys.executable, script, DATA, PROCESSES, options.accuracy, epochs])
    return seconds, json.loads(output.splitlines()[-1])["accuracy"]


def enough(train, options):
    """The fewest epochs that reach the accuracy."""
    for epochs in range(1, MOST_EPOCHS + 1):
        _, accuracy = train(epochs, options)
        if accuracy >= options.accuracy:
            return epochs
    sys.exit(f"{train.__name__} does not reach {options.accuracy} in {MOST_EPOCHS} epochs")


def main():
    parser = argparse.ArgumentParser(description="A whole job beside PyTorch DDP.")
    parser.add_argument("--accuracy", type=float, default=0.90)
    parser.add_argument("--epochs", type=int, help="of both; default: each side's smallest number, sought first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kernel", help="BLAS kernel of Lockstep's runs; default: Lockstep's own")
    parser.add_argument("--json", action="store_true", help="a JSON object")
    options = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"{DATA} is not there: run examples/fetch-fashion-mnist.sh first")

    sides = (lockstep, pytorch)
    epochs = [options.epochs or enough(side, options) for side in sides]
    seconds, accuracies = ([], []), ([], [])
    for _ in range(options.rounds):
        for side, n, times, reached in zip(sides, epochs, seconds, accuracies):
            took, accuracy = side(n, options)
            if accuracy < options.accuracy:
                sys.exit(f"{side.__name__} ends at {accuracy:.4f} after {n} epochs: give it more with --epochs")
            times.append(took)
            reached.append(accuracy)
    ours, theirs = map(statistics.median, seconds)
    if options.json:
        print(json.dumps({"case": "job", "lockstep_seconds": ours, "pytorch_seconds": theirs, "ratio": ours / theirs,
                          "target": AIM, "epochs": epochs, "load": os.getloadavg()[0]}))
        return
    for side, n, time_, reached in zip(sides, epochs, (ours, theirs), accuracies):
        print(f"{side.__name__:<9} {n} epochs to {statistics.median(reached):.4f}: {time_:.1f} s")
    print(f"ratio {ours / theirs:.2f} (at most {AIM}), medians of {options.rounds}, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
