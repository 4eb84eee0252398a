"""Logits of a model in PyTorch: torch_logits.py MODEL.safetensors DATA.csv

Builds the nn.Sequential that the file's own run describes, loads the tensors by name (strictly) and
prints a line of logits for each row of the data. Knows nothing of Lockstep but what is in the file.
"""
import csv, json, sys, tomllib

import torch
from safetensors import safe_open
from safetensors.torch import load_file

with safe_open(sys.argv[1], "pt") as file:
    metadata = file.metadata()
run, encoder = tomllib.loads(metadata["lockstep.run"]), json.loads(metadata["lockstep.encoder"])
tensors = load_file(sys.argv[1])

ACTIVATIONS = {"sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "gelu": torch.nn.GELU}


def layer(spec, inputs):
    if isinstance(spec, str):
        return (torch.nn.Flatten() if spec == "flatten" else ACTIVATIONS[spec]()), inputs
    ((name, value),) = spec.items()
    if name == "linear":
        return torch.nn.Linear(inputs, value["outputs"], bias=value["bias"]), value["outputs"]
    if name == "batch_norm":
        return torch.nn.BatchNorm1d(inputs, **value), inputs
    if name == "leaky_relu":
        return torch.nn.LeakyReLU(value), inputs
    return torch.nn.Dropout(value), inputs


scales = encoder["inputs"]["columns"]
layers, width = [], len(scales)
for spec in run["model"]["layers"]:
    module, width = layer(spec, width)
    layers.append(module)
model = torch.nn.Module()
model.layers = torch.nn.Sequential(*layers)
model.load_state_dict(tensors)
model.eval()

with open(sys.argv[2], newline="") as file:
    rows = list(csv.DictReader(file))
x = [[(float(row[s["column"]]) - s["mean"]) / s["deviation"] for s in scales] for row in rows]
x = torch.tensor(x, dtype=torch.float64).clamp(-10, 10).to(torch.float32)
with torch.no_grad():
    for row in model.layers(x).tolist():
        print(*row)
