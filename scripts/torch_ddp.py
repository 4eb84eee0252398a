#!/usr/bin/env python3
"""The yardstick: one training step in PyTorch, alone and with DistributedDataParallel over gloo.

usage: torch_ddp.py CASE BATCH STEPS [PROCESSESxTHREADS,...]      (1x1,1x2,2x1,4x1 unless given)

BATCH is the rows of one step over all processes; the optimizer is SGD with momentum. Prints a JSON object
a line for each number of processes and threads:

    case, processes, threads, batch, ms (median of STEPS, after 5 to warm up), samples_per_second

Rows are random and in memory before the clock starts: neither reading nor shuffling is timed.
"""
import json
import os
import socket
import statistics
import sys
import time

import torch
from torch import distributed, nn
from torch.nn import functional

WARM_UP = 5


def perceptron(*widths):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolutions():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))


# Model, shape of a row, classes (1: a binary label).
CASES = {
    "tab": (lambda: perceptron(32, 128, 64, 1), (32,), 1),
    "mlp_small": (lambda: perceptron(784, 512, 256, 10), (784,), 10),
    "mlp_mid": (lambda: perceptron(784, 2048, 2048, 10), (784,), 10),
    "mlp_big": (lambda: perceptron(1024, 4096, 4096, 1000), (1024,), 1000),
    "cnn": (convolutions, (1, 28, 28), 10),
}


def batch_of(sample, classes, rows):
    inputs = torch.randn(rows, *sample)
    if classes == 1:
        return inputs, torch.randint(0, 2, (rows, 1)).float(), functional.binary_cross_entropy_with_logits
    return inputs, torch.randint(0, classes, (rows,)), functional.cross_entropy


def seconds_a_step(model, inputs, targets, loss, steps):
    update = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    seconds = []
    for _ in range(WARM_UP + steps):
        start = time.perf_counter()
        # Kept and zeroed, since DDP's buckets are views of the gradients.
        update.zero_grad(set_to_none=False)
        loss(model(inputs), targets).backward()
        update.step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM_UP:])


def run(rank, processes, threads, case, batch, steps, port):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    make, sample, classes = CASES[case]
    model = make()
    if processes > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        distributed.init_process_group("gloo", rank=rank, world_size=processes)
        model = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    inputs, targets, loss = batch_of(sample, classes, batch // processes)
    seconds = seconds_a_step(model, inputs, targets, loss, steps)
    if rank == 0:
        print(json.dumps({"case": case, "processes": processes, "threads": threads, "batch": batch,
                          "ms": round(seconds * 1e3, 3), "samples_per_second": round(batch / seconds)}),
              flush=True)
    if processes > 1:
        distributed.destroy_process_group()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main():
    if len(sys.argv) not in (4, 5) or sys.argv[1] not in CASES:
        sys.exit(f"{__doc__}\ncases: {', '.join(CASES)}")
    case, batch, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    settings = sys.argv[4] if len(sys.argv) == 5 else "1x1,1x2,2x1,4x1"
    for processes, threads in (map(int, setting.split("x")) for setting in settings.split(",")):
        arguments = (processes, threads, case, batch, steps, free_port())
        # Always in processes of its own: a thread count once used colours what follows.
        torch.multiprocessing.spawn(run, args=arguments, nprocs=processes)


if __name__ == "__main__":
    main()
