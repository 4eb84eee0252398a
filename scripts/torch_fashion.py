#!/usr/bin/env python3
"""The other side of `make bench-job`: examples/fashion-mnist-cnn.toml in PyTorch, on DDP over gloo.

usage: torch_fashion.py FOLDER PROCESSES ACCURACY EPOCHS

Reads the same IDX files in FOLDER, trains the same network with the same optimizer, schedule and batch,
one thread a process, evaluates on the test images after each epoch, and stops after EPOCHS, over which the
schedule runs, or at the first that reaches ACCURACY. As people write it: a DistributedSampler's order, tensors in memory, batches by index (faster
than a DataLoader with workers, which two cores have no room for). Prints a JSON object a line:

    epoch, accuracy
"""
import gzip
import json
import math
import os
import pathlib
import socket
import sys

import numpy
import torch
from torch import distributed, nn
from torch.nn import functional
from torch.utils.data import DistributedSampler, TensorDataset

# As in the run file.
BATCH, RATE, WARM_UP, DECAY = 128, 3e-3, 100, 0.01


def read(folder, name):
    """Images [rows, 1, 28, 28] from 0 to 1, and labels."""
    def idx(kind, header):
        with gzip.open(pathlib.Path(folder) / f"{name}-{kind}-ubyte.gz") as file:
            return numpy.frombuffer(file.read(), numpy.uint8, offset=header)
    images = torch.from_numpy(idx("images-idx3", 16).astype(numpy.float32) / 255).view(-1, 1, 28, 28)
    return images, torch.from_numpy(idx("labels-idx1", 8).astype(numpy.int64))


def network():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.25), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10))


def correct(model, images, labels):
    model.eval()
    with torch.no_grad():
        found = sum((model(x).argmax(1) == y).sum() for x, y in zip(images.split(256), labels.split(256)))
    model.train()
    return found.float()


def run(rank, folder, processes, accuracy, epochs, port):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    distributed.init_process_group("gloo", rank=rank, world_size=processes)
    images, labels = read(folder, "train")
    # Each process evaluates its share of the test images.
    test_images, test_labels = (part[rank::processes] for part in read(folder, "t10k"))
    model = nn.parallel.DistributedDataParallel(network(), gradient_as_bucket_view=True)
    update = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    total = epochs * math.ceil(len(labels) / BATCH)

    def factor(step):
        if step < WARM_UP:
            return (step + 1) / (WARM_UP + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (total - WARM_UP)))

    schedule = torch.optim.lr_scheduler.LambdaLR(update, factor)
    sampler = DistributedSampler(TensorDataset(labels), processes, rank, seed=1)
    for epoch in range(1, epochs + 1):
        sampler.set_epoch(epoch)
        for rows in torch.tensor(list(sampler)).split(BATCH // processes):
            update.zero_grad(set_to_none=False)
            functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            update.step()
            schedule.step()
        found = correct(model.module, test_images, test_labels)
        distributed.all_reduce(found)
        reached = found.item() / 10_000
        if rank == 0:
            print(json.dumps({"epoch": epoch, "accuracy": reached}), flush=True)
        if reached >= accuracy:
            break
    distributed.destroy_process_group()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    folder, processes, accuracy, epochs = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    arguments = (folder, processes, accuracy, epochs, free_port())
    torch.multiprocessing.spawn(run, args=arguments, nprocs=processes)


if __name__ == "__main__":
    main()
