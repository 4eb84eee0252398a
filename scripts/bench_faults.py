#!/usr/bin/env python3
"""Slow and dying workers, measured on this machine with real processes.

usage: bench_faults.py [--lockstep PATH] [quotas] [recovery]        (make bench-faults ARGS="recovery")

quotas    16 shards on 4 workers that may use 40, 40, 40 and 10 % of a core: steps a second, beside the
          sum of what each does alone. Needs root and the cpu controller (cgroup v1 or v2), else it says so.
recovery  from SIGKILL of one of 4 workers to the next committed step, in step times; from the start of a
          coordinator whose predecessor was killed to the next committed step.

Every run that ends must have the digest of an undisturbed one. The machine's load is printed: on a busy
machine the figures say little.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
SHARES = (40, 40, 40, 10)  # percent of a core

RUN = """
name = "faults"
data = {{ train = {table!r}, target = "y" }}
model = {{ loss = "mean_squared_error", layers = [{{ linear = {width} }}, "relu", {{ linear = {width} }}, "relu", {{ linear = 1 }}] }}
[train]
epochs = {epochs}
batch_size = {batch}
[cluster]
shards = 16
[checkpoint]
every_steps = {every}
"""


class Quota:
    """A cgroup with so many percent of a core; none without a share."""

    def __init__(self, share):
        self.path = None
        if share is None:
            return
        v2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()
        base = pathlib.Path("/sys/fs/cgroup" if v2 else "/sys/fs/cgroup/cpu")
        self.path = base / f"lockstep-bench-{os.getpid()}-{random.randrange(1 << 30)}"
        self.path.mkdir()
        if v2:
            (self.path / "cpu.max").write_text(f"{share * 1000} 100000")
        else:
            (self.path / "cpu.cfs_period_us").write_text("100000")
            (self.path / "cpu.cfs_quota_us").write_text(str(share * 1000))

    def enter(self):
        if self.path:
            (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self):
        if self.path:
            self.path.rmdir()


class Cluster:
    """A coordinator and its workers, all of them ended with it."""

    def __init__(self, lockstep, folder, shares):
        self.lockstep, self.folder = lockstep, folder
        self.metrics = folder / "run" / "metrics.jsonl"
        self.workers, self.quotas = [], []
        self.coordinator, self.address = self.coordinate("127.0.0.1:0")
        for share in shares:
            quota = Quota(share)
            self.quotas.append(quota)
            command = [lockstep, "worker", "--coordinator", self.address, "--name", f"w{len(self.workers)}"]
            self.workers.append(self.start(command, quota.enter))

    def start(self, command, before=None):
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, preexec_fn=before)

    def coordinate(self, listen, *more):
        offset = (self.folder / "log").stat().st_size if (self.folder / "log").exists() else 0
        command = [self.lockstep, "coordinator", "run.toml", "--run-dir", "run", "--listen", listen]
        process = self.start(command + ["--record-every", "1", *more])
        while True:
            said = (self.folder / "log").read_text()[offset:]
            if found := re.search(r"listening on ([\d.:]+);", said):
                return process, found[1]
            if process.poll() is not None:
                sys.exit(f"the coordinator has ended: {said}")
            time.sleep(0.002)

    def step(self):
        """The newest step that is recorded."""
        lines = self.metrics.read_text().splitlines() if self.metrics.exists() else []
        for line in reversed(lines):
            try:
                return json.loads(line)["step"]
            except (ValueError, KeyError):
                continue
        return 0

    def until(self, step):
        """When the step was seen."""
        while (seen := self.step()) < step:
            if self.coordinator.poll() is not None and self.step() < step:
                sys.exit((self.folder / "log").read_text()[-2000:])
            time.sleep(0.002)
        return time.monotonic(), seen

    def rate(self, first, seconds):
        """Steps a second from step `first` on."""
        began, first = self.until(first)
        time.sleep(seconds)
        # From step to step, else a slow one is counted in halves.
        ended, last = self.until(self.step() + 1)
        return (last - first) / (ended - began)

    def digest(self):
        if self.coordinator.wait() != 0:
            sys.exit((self.folder / "log").read_text()[-2000:])
        return json.loads((self.folder / "run" / "results.json").read_text())["digest"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in [self.coordinator, *self.workers]:
            process.kill()
            process.wait()
        for quota in self.quotas:
            quota.remove()
        shutil.rmtree(self.folder)


def folder(table, **options):
    path = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-bench-"))
    (path / "run.toml").write_text(RUN.format(table=str(table), **options))
    return path


def quotas(lockstep, table, undisturbed):
    try:
        probe = Quota(50)
    except OSError as error:
        return print(f"quotas: skipped, no cgroup can be made here ({error})")
    probe.remove()
    options = {"width": 1024, "epochs": 40, "batch": 8192, "every": 100000}
    alone = {}
    for share in sorted(set(SHARES)):
        with Cluster(lockstep, folder(table, **options), [share]) as cluster:
            alone[share] = cluster.rate(1, 400 / share)
            print(f"alone with {share} % of a core: {alone[share]:.3f} steps/s", flush=True)
    total = sum(alone[share] for share in SHARES)
    with Cluster(lockstep, folder(table, **options), SHARES) as cluster:
        together = cluster.rate(12, 10)
        digest = cluster.digest()
    print(f"together: {together:.3f} steps/s, {100 * together / total:.0f} % of the sum {total:.3f} (aim: 85)")
    print(f"digest {'as undisturbed' if digest == undisturbed(options) else 'DIFFERS'}")


def recovery(lockstep, table, undisturbed):
    options = {"width": 256, "epochs": 100, "batch": 4096, "every": 20}
    times, waits = [], []
    with Cluster(lockstep, folder(table, **options), [None] * 4) as cluster:
        for round in range(5):
            began, first = cluster.until(cluster.step() + 5)
            ended, last = cluster.until(first + 10)
            usual = (ended - began) / (last - first)
            time.sleep(random.random() * usual)
            step = cluster.step()
            victim = cluster.workers.pop(0)
            began = time.monotonic()
            victim.send_signal(signal.SIGKILL)
            ended, _ = cluster.until(step + 1)
            # The step that is committed first may have been whole already: the one after it was not.
            second, _ = cluster.until(step + 2)
            times.append((max(ended, second - usual) - began, usual))
            victim.wait()
            cluster.workers.append(cluster.start([lockstep, "worker", "--coordinator", cluster.address, "--name", f"again{round}"]))
            cluster.until(cluster.step() + 10)
        for _ in range(3):
            cluster.coordinator.kill()
            cluster.coordinator.wait()
            began = time.monotonic()
            cluster.coordinator, _ = cluster.coordinate(cluster.address, "--resume")
            step = cluster.step()
            ended, _ = cluster.until(step + 1)
            waits.append(ended - began)
            cluster.until(step + 10)
        digest = cluster.digest()
    extra = [time - 1.5 * usual for time, usual in times]
    usual = statistics.median(usual for _, usual in times)
    print(f"a step takes {usual:.3f} s; from a worker's SIGKILL to the next committed step: "
          f"{', '.join(f'{time:.3f}' for time, _ in times)} s, at most 1.5 steps + {max(extra):.3f} s (aim: + 0.2)")
    print(f"from a coordinator's start to the next committed step: {', '.join(f'{wait:.2f}' for wait in waits)} s (aim: 3)")
    print(f"digest {'as undisturbed' if digest == undisturbed(options) else 'DIFFERS'}")


def main():
    parser = argparse.ArgumentParser(description="Slow and dying workers, measured.")
    parser.add_argument("what", nargs="*", choices=[[], "quotas", "recovery"], help="default: both")
    parser.add_argument("--lockstep", default=TARGET / "release" / "lockstep")
    options = parser.parse_args()
    lockstep = str(pathlib.Path(options.lockstep).resolve())
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as place:
        table = pathlib.Path(place) / "rows.csv"
        random.seed(1)
        with open(table, "w") as out:
            out.write(",".join(f"x{i}" for i in range(32)) + ",y\n")
            for _ in range(8192):
                row = [random.gauss(0, 1) for _ in range(32)]
                out.write(",".join(f"{x:.3f}" for x in row) + f",{sum(row[:8]):.3f}\n")

        def undisturbed(options):
            with Cluster(lockstep, folder(table, **options), [None]) as cluster:
                return cluster.digest()

        for name, measure in (("quotas", quotas), ("recovery", recovery)):
            if name in (options.what or ["quotas", "recovery"]):
                measure(lockstep, table, undisturbed)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
