#!/usr/bin/env python3
"""What onnxruntime makes of ONNX files for seeded inputs, to compare others with.

    pip install onnx==1.23.2 onnxruntime==1.32.0
    python3 scripts/onnx_outputs.py outputs.npz FILE[,AXIS=SIZE,...] ...

Arrays are called NAME/in/INPUT and NAME/out/OUTPUT. Sizes that a file leaves open are 1 for what is called a batch and else 12,
unless they are given. Floating-point numbers are normal ones; whole numbers are 1 where the input is called a mask, 0 where it
tells segments, 16000 where it is a rate of sampling, the last open size where it is a length, else below 5.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float16, 11: np.float64}


def made_up(info, sizes, random):
    dtype = TYPES[info.type.tensor_type.elem_type]
    shape = []
    for at, dim in enumerate(info.type.tensor_type.shape.dim):
        size = dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        name = dim.dim_param or f"{info.name}[{at}]"
        shape.append(size or sizes.get(name) or (1 if "batch" in name or at == 0 else 12))
    name = info.name.lower()
    if np.issubdtype(dtype, np.floating):
        values = np.zeros(shape) if "state" in name or name in "hc" else random.standard_normal(shape)
        if name == "scales":
            values = np.array([0, 1, 0])
    elif dtype == np.bool_ or "mask" in name:
        values = np.ones(shape)
    elif "type" in name:
        values = np.zeros(shape)
    elif name == "sr":
        values = np.full(shape, 16000)
    elif "length" in name:
        values = np.full(shape, max(sizes.values(), default=12))
    else:
        values = random.integers(0, 256 if dtype == np.uint8 or "byte" in name else 5, shape)
    return np.asarray(values).astype(dtype)


def main():
    arrays = {}
    for argument in sys.argv[2:]:
        file, *axes = argument.split(",")
        sizes = {name: int(size) for name, size in (axis.rsplit("=", 1) for axis in axes)}
        path = pathlib.Path(file)
        random = np.random.default_rng(29)
        try:
            graph = onnx.load(path, load_external_data=False).graph
            stored = {tensor.name for tensor in graph.initializer}
            inputs = {info.name: made_up(info, sizes, random) for info in graph.input if info.name not in stored}
            session = onnxruntime.InferenceSession(path)
            names = [output.name for output in session.get_outputs()]
            outputs = dict(zip(names, session.run(names, inputs)))
        except Exception as error:
            print(f"{path.name}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        for kind, values in (("in", inputs), ("out", outputs)):
            for name, value in values.items():
                value = np.asarray(value)
                floating = np.issubdtype(value.dtype, np.floating)
                arrays[f"{path.stem}/{kind}/{name}"] = value.astype(np.float32 if floating else np.int64)
    np.savez(sys.argv[1], **arrays)


main()
