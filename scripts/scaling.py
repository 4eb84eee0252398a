#!/usr/bin/env python3
"""Where a star of workers stops paying, by the cost model of `lockstep inspect`.

usage: scaling.py [--lockstep PATH] [--flops FLOPS] [--threads K]

Prints the tables of docs/scaling.md. Nothing is measured: the parts of a step (forward, backward, transfer)
are what `inspect --workers N --flops … --bandwidth …` predicts, and a reserved design changes the transfer
as its column says.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
INPUTS, SHARDS = 1000, 256
HIDDEN = {"1 M": 500, "25 M": 3300, "100 M": 6800}  # three hidden layers of that width
LINKS = {"1 Gbit/s": 125e6, "10 Gbit/s": 1.25e9, "25 Gbit/s": 3.125e9}
WORKERS = [1, 2, 4, 8, 16, 32]
GAIN = 1.1  # a doubling of the workers that gives less does not pay
# What divides the bytes on the busiest link, of N workers.
DESIGNS = {
    "4 reducers": lambda n: 4,
    "relays of 4": lambda n: max(1, n / 4),
    "8 local steps": lambda n: 8,
}

RUN = """
name = "scaling"
data = {{ train = "rows.csv", target = "y" }}
model = {{ loss = "cross_entropy", layers = [{layers}, {{ linear = 2 }}] }}
train = {{ epochs = 1, batch_size = {batch} }}
cluster = {{ shards = {shards} }}
"""


def parts(arguments, folder, hidden, batch, workers, bandwidth):
    layers = ", ".join([f'{{ linear = {hidden} }}, "relu"'] * 3)
    (folder / "run.toml").write_text(RUN.format(layers=layers, batch=batch, shards=SHARDS))
    command = [arguments.lockstep, "inspect", folder / "run.toml", "--json", "--workers", str(workers)]
    command += ["--flops", arguments.flops, "--threads", str(arguments.threads), "--bandwidth", str(int(bandwidth))]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["prediction"]
    return [told[f"{part}_seconds"] for part in ("forward", "backward", "transfer", "fixed")]


def step(of, divided=1.0):
    forward, backward, transfer, fixed = of
    return fixed + forward + max(backward, transfer / divided)


def alone(of):
    """The only worker, on the coordinator's own machine: nothing crosses a link."""
    return step((*of[:2], 0.0, of[3]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockstep", default=TARGET / "release" / "lockstep", type=pathlib.Path)
    parser.add_argument("--flops", default="100G", help="of one core")
    parser.add_argument("--threads", default=8, type=int, help="of a worker")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        header = ",".join([*(f"x{i}" for i in range(INPUTS)), "y"])
        rows = [",".join([*(str((7 * row + i) % 5) for i in range(INPUTS)), str(row % 2)]) for row in range(4)]
        (folder / "rows.csv").write_text("\n".join([header, *rows]) + "\n")
        for batch in (4096, 65536):
            print(f"\nBatches of {batch:,} rows:\n")
            print("| parameters | link | workers that pay | a step there | times as fast as one |", end="")
            print("".join(f" {design} |" for design in DESIGNS))
            print("| --- | --- | --- | --- | --- |" + " --- |" * len(DESIGNS))
            for size, hidden in HIDDEN.items():
                for link, bandwidth in LINKS.items():
                    of = {n: parts(arguments, folder, hidden, batch, n, bandwidth) for n in WORKERS}
                    line(size, link, of)


def time(seconds):
    return f"{1e3 * seconds:.1f} ms" if seconds < 0.1 else f"{seconds:.2f} s"


def line(size, link, of):
    one = alone(of[1])

    def pay(divided):
        """The workers up to which every doubling pays, and how much faster than one they are."""
        best, speed = 1, 1.0
        for n in WORKERS[1:]:
            faster = one / step(of[n], divided(n))
            if faster < GAIN * speed:
                break
            best, speed = n, faster
        return best, speed

    best, speed = pay(lambda n: 1)
    cells = [size, link, str(best), time(one / speed), f"{speed:.1f}"]
    cells += ["{} · {:.1f}".format(*pay(design)) for design in DESIGNS.values()]
    print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
