#!/usr/bin/env python3
"""The same small networks in files of PyTorch, NumPy and TensorFlow.js, and files that must be refused.

    pip install torch==2.15.0 safetensors==0.8.0 numpy
    python3 scripts/tiny_arrays.py core/tests/fixtures/arrays

`lstm.safetensors` is what `lstm*` hold; `views.json` has the values of the tensors of every other file.
"""
import collections
import json
import os
import pathlib
import pickle
import sys

import numpy
import torch
from safetensors.torch import save_file

out = pathlib.Path(sys.argv[1])
out.mkdir(exist_ok=True)
torch.manual_seed(29)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(11, 6)
        self.lstm = torch.nn.LSTM(6, 5, 2, batch_first=True)
        self.fc = torch.nn.Linear(5, 11)

    def forward(self, tokens):
        return self.fc(self.lstm(self.embedding(tokens))[0])


model = Model().eval()
# Numbers of sixteen bits, so that files of any width hold the same.
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.6)
    parameter.data = parameter.data.bfloat16().float()
weights = model.state_dict()
old = {"_use_new_zipfile_serialization": False}
save_file({name: value.contiguous() for name, value in weights.items()}, out / "lstm.safetensors")
torch.save(weights, out / "lstm.pt")
torch.save(weights, out / "lstm-old.pt", **old)
torch.save(weights, out / "lstm-protocol-4.pt", pickle_protocol=4)
torch.save(dict(weights), out / "lstm-old-protocol-3.pt", pickle_protocol=3, **old)
torch.save({f"module.{name}": value for name, value in weights.items()}, out / "lstm-wrapped.pt")
torch.save({name: value.bfloat16() for name, value in weights.items()}, out / "lstm-bf16.pt")
torch.save({name: value.double() for name, value in weights.items()}, out / "lstm-double.pt")
torch.save({name: torch.nn.Parameter(value) for name, value in weights.items()}, out / "lstm-parameters.pt")
trained = torch.optim.Adam(model.parameters())
model(torch.zeros(1, 3, dtype=torch.long)).sum().backward()
state = {name: value.clone() for name, value in weights.items()}
trained.step()
import argparse

checkpoint = {
    "epoch": 3,
    "model_state_dict": state,
    "optimizer_state_dict": trained.state_dict(),
    "args": argparse.Namespace(lr=1e-3, path=pathlib.PurePosixPath("/data")),
    "best": numpy.float64(0.5),
    "step": torch.tensor(7),
    "history": [1.5, None, True, {"a": (1, 2, 3, 4)}],
}
torch.save(checkpoint, out / "lstm-checkpoint.pt")
torch.save(checkpoint, out / "lstm-checkpoint-old.pt", **old)
model.load_state_dict(state)
torch.jit.script(model).save(out / "lstm-script.pt")
arrays = {name: value.numpy() for name, value in state.items()}
numpy.savez(out / "lstm.npz", **arrays)
numpy.savez_compressed(out / "lstm-deflated.npz", **arrays)
numpy.savez(
    out / "lstm-fortran.npz",
    **{name: numpy.asfortranarray(value).astype(">f4", order="K") for name, value in arrays.items()},
)

# Views: of one storage, turned, with gaps, and tied.
base = torch.arange(24, dtype=torch.float32)
table = torch.randn(4, 3)
views = {
    "turned": base.view(4, 6).t(),
    "gaps": base[3:21:2].view(3, 3),
    "inner": base.view(2, 3, 4)[:, 1:, ::2],
    "permuted": base.view(2, 3, 4).permute(2, 0, 1),
    "tied": table,
    "tied_too": table,
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 3),
    "half": torch.randn(3, 2).half(),
    "count": torch.tensor([1, -2, 3]),
}
torch.save(views, out / "views.pt")
torch.save(views, out / "views-old.pt", **old)
values = {name: {"shape": list(value.shape), "values": value.flatten().tolist()} for name, value in views.items()}
numbers = {
    "f2": numpy.array([[0.5, -1.25], [3.0, 4.0]], dtype="<f2"),
    "f8": numpy.array([0.1, 0.2, 0.3], dtype=">f8"),
    "fortran": numpy.asfortranarray(numpy.arange(12, dtype="<f4").reshape(3, 4)),
    "number": numpy.array(1.5, dtype="<f4"),
    "text": numpy.array(["a", "bc"]),
    "whole": numpy.array([[1, 2]], dtype=">i4"),
}
numpy.savez(out / "numbers.npz", **numbers)
numpy.save(out / "one.npy", numbers["fortran"])
values.update(
    {name: {"shape": list(value.shape), "values": value.flatten().tolist()} for name, value in numbers.items() if name != "text"}
)

# TensorFlow.js: kernels with the outputs last, in two files, some of them codes.
folder = out / "tfjs"
folder.mkdir(exist_ok=True)
kernel = (numpy.arange(24, dtype="<f4") - 10).reshape(1, 2, 3, 4)
codes = numpy.arange(6, dtype="u1").reshape(2, 3) * 40
wide = numpy.arange(4, dtype="<u2") * 16000
half = numpy.array([0.5, -0.25], dtype="<f2")
data = kernel.tobytes() + codes.tobytes() + wide.tobytes() + half.tobytes()
(folder / "group1-shard1of2.bin").write_bytes(data[:50])
(folder / "group1-shard2of2.bin").write_bytes(data[50:])
manifest = [
    {
        "paths": ["group1-shard1of2.bin", "group1-shard2of2.bin"],
        "weights": [
            {"name": "conv/kernel", "shape": [1, 2, 3, 4], "dtype": "float32"},
            {
                "name": "dense/kernel",
                "shape": [2, 3],
                "dtype": "float32",
                "quantization": {"dtype": "uint8", "scale": 0.01, "min": -0.9, "original_dtype": "float32"},
            },
            {
                "name": "dense/bias",
                "shape": [4],
                "dtype": "float32",
                "quantization": {"dtype": "uint16", "scale": 0.0001, "min": -2.0, "original_dtype": "float32"},
            },
            {
                "name": "norm/gamma",
                "shape": [2],
                "dtype": "float32",
                "quantization": {"dtype": "float16", "original_dtype": "float32"},
            },
        ],
    }
]
(folder / "model.json").write_text(
    json.dumps({"format": "layers-model", "modelTopology": {}, "weightsManifest": manifest}) + "\n"
)
for name, value in [
    ("conv/kernel", kernel.transpose(3, 2, 0, 1)),
    ("dense/kernel", (codes * 0.01 - 0.9).T),
    ("dense/bias", wide * 0.0001 - 2.0),
    ("norm/gamma", half),
]:
    values[name] = {"shape": list(value.shape), "values": value.astype("f8").flatten().tolist()}
(out / "views.json").write_text(json.dumps(values, separators=(",", ":")) + "\n")

# What must not be opened.
torch.save(torch.nn.Sequential(torch.nn.Linear(2, 2)), out / "refused-module.pt")
torch.save(torch.nn.Sequential(torch.nn.Linear(2, 2)), out / "refused-module-old.pt", **old)


class Shell:
    def __reduce__(self):
        return os.system, ("echo executed > /tmp/executed",)


torch.save({"weight": torch.zeros(2, 2), "more": Shell()}, out / "refused-shell.pt")
(out / "refused-shell.pkl").write_bytes(pickle.dumps({"a": Shell()}, protocol=2))
(out / "refused-bare.pkl").write_bytes(pickle.dumps([1, 2, {"a": 3}], protocol=4))
torch.save({"weight": torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.quint8)}, out / "refused-quantised.pt")
torch.save({"weight": torch.eye(3).to_sparse()}, out / "refused-sparse.pt")
torch.save({"weight": torch.zeros(1, 1).expand(4, 4)}, out / "refused-repeats.pt")
torch.save({"a": dict(weights), "b": dict(weights)}, out / "refused-two.pt")
torch.save(trained.state_dict(), out / "refused-optimiser.pt")

# Weights of no known network, in several files; one matrix stands under two names.
table = torch.randn(12, 8)
unknown = {
    "block.0.mix": torch.randn(6, 4, 3),
    "block.0.kernel.weight": torch.randn(8, 6, 3, 3),
    "block.0.kernel.bias": torch.randn(8),
    "block.1.weight": torch.randn(16, 8).t(),
    "block.1": torch.randn(3, 5),
    "table": table,
    "head.weight": table,
    "steps": torch.tensor([4, 5]),
}
torch.save(unknown, out / "unknown.pt")
torch.save(unknown, out / "unknown-old.pt", **old)
numpy.savez(out / "unknown.npz", **{name: value.numpy() for name, value in unknown.items() if name != "head.weight"})
save_file({name: value.clone().contiguous() for name, value in unknown.items() if name != "head.weight"}, out / "unknown.safetensors")
(out / "unknown.safetensors").chmod(0o644)
(out / "lstm.safetensors").chmod(0o644)

# A language model as Hugging Face published them before safetensors: one file, and two with their index.
from safetensors.torch import load_file

folder = out / "falcon-rw"
folder.mkdir(exist_ok=True)
whole = load_file(out.parent / "language" / "falcon-rw" / "model.safetensors")
torch.save(whole, folder / "pytorch_model.bin")
names = sorted(whole)
index = {}
for part, chosen in enumerate([names[: len(names) // 2], names[len(names) // 2 :]], 1):
    file = f"pytorch_model-{part:05}-of-00002.bin"
    torch.save({name: whole[name] for name in chosen}, folder / file, **old)
    index.update({name: file for name in chosen})
(folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}) + "\n")
