#!/usr/bin/env python3
"""Trains the examples on real tables and checks what they reach: check.py LOCKSTEP [NAME...]

Bounds are a little wider than what was measured, for other kernels give other digits. Needs only the
standard library, and the data that fetch.sh fetches.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
# metric, bound, and whether it must be above
EXPECTED = {
    "breast-cancer": ("accuracy", 0.96, True),
    "adult": ("accuracy", 0.85, True),
    "california-housing": ("rmse", 0.52, False),
    "bike-sharing": ("mae", 90.0, False),
    "flights": ("accuracy", 0.81, True),
}


def main():
    lockstep, names = sys.argv[1], sys.argv[2:] or list(EXPECTED)
    missed = False
    for name in names:
        metric, bound, above = EXPECTED[name]
        with tempfile.TemporaryDirectory() as folder:
            command = [lockstep, "train", FOLDER / f"{name}.toml", "--run-dir", f"{folder}/run"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            results = json.loads(pathlib.Path(folder, "run/results.json").read_text())
        found = results["validation"][metric]
        good = found >= bound if above else found <= bound
        missed |= not good
        print(f"{name}: {metric} {found:.4f}, expected {'at least' if above else 'at most'} {bound}"
              f"{'' if good else '  MISSED'}  ({results['train_seconds']:.1f} s)", flush=True)
    sys.exit(missed)


if __name__ == "__main__":
    main()
