#!/usr/bin/env python3
"""The yardstick: one training step in PyTorch, alone and with DistributedDataParallel over gloo.

usage: torch_ddp.py CASE BATCH STEPS [sgd|adam]

BATCH is the rows of one step over all processes. Prints a JSON object a line for one process with one
and two threads, and for two and four processes with one thread each:

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
# Widths from input to output, with ReLU between. One output: a binary label.
CASES = {
    "tab": (32, 128, 64, 1),
    "mlp_small": (784, 512, 256, 10),
    "mlp_mid": (784, 2048, 2048, 10),
    "mlp_big": (1024, 4096, 4096, 1000),
}
SETTINGS = [(1, 1), (1, 2), (2, 1), (4, 1)]  # processes, threads


def network(widths):
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def batch_of(widths, rows):
    inputs = torch.randn(rows, widths[0])
    if widths[-1] == 1:
        return inputs, torch.randint(0, 2, (rows, 1)).float(), functional.binary_cross_entropy_with_logits
    return inputs, torch.randint(0, widths[-1], (rows,)), functional.cross_entropy


def seconds_a_step(model, parameters, optimizer, inputs, targets, loss, steps):
    if optimizer == "adam":
        update = torch.optim.Adam(parameters)
    else:
        update = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
    seconds = []
    for _ in range(WARM_UP + steps):
        start = time.perf_counter()
        # Kept and zeroed, since DDP's buckets are views of the gradients.
        update.zero_grad(set_to_none=False)
        loss(model(inputs), targets).backward()
        update.step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM_UP:])


def run(rank, processes, threads, case, batch, steps, optimizer, port):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    widths = CASES[case]
    model = network(widths)
    if processes > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        distributed.init_process_group("gloo", rank=rank, world_size=processes)
        model = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    inputs, targets, loss = batch_of(widths, batch // processes)
    seconds = seconds_a_step(model, model.parameters(), optimizer, inputs, targets, loss, steps)
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
    optimizer = sys.argv[4] if len(sys.argv) == 5 else "sgd"
    for processes, threads in SETTINGS:
        arguments = (processes, threads, case, batch, steps, optimizer, free_port())
        # Always in processes of its own: a thread count once used colours what follows.
        torch.multiprocessing.spawn(run, args=arguments, nprocs=processes)


if __name__ == "__main__":
    main()
