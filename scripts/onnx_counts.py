#!/usr/bin/env python3
"""Counts of ONNX files by running them: every intermediate result of onnxruntime gives its shape, from which
multiply-accumulates of products, convolutions and recurrent layers follow. Independent of the program's own shapes.

    pip install onnx==1.23.2 onnxruntime==1.32.0
    onnx_counts.py FILE [AXIS=SIZE ...] [FILE ...]  ->  CSV: file, axes, parameters, macs, stored_bytes

Parameters: numbers of all floating-point tensors of more than one number and of all rounded weights and biases, wherever
they stand; scales, zero points, shapes and indices are none. The optimiser is off, so that all nodes are there."""
import collections
import csv
import math
import sys

import numpy as np
import onnx, onnxruntime
from onnx import numpy_helper

MULTIPLY = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1, "MatMul": 1, "MatMulInteger": 1,
            "QLinearMatMul": 3, "Gemm": 1, "LSTM": 1, "GRU": 1, "RNN": 1}


def graphs(graph):
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from graphs(inner)


def parameters(model):
    scales, weights, total, stored = set(), set(), 0, 0
    for graph in graphs(model.graph):
        for node in graph.node:
            op, inputs = node.op_type, list(node.input)
            if op in ("QuantizeLinear", "DequantizeLinear"):
                scales.update(inputs[1:])
                weights.update(inputs[:1])
            elif op in ("QLinearConv", "QLinearMatMul"):
                scales.update(inputs[i] for i in (1, 2, 4, 5, 6, 7))
                weights.update(inputs[i] for i in (0, 3, 8) if i < len(inputs))
            elif op in ("MatMulInteger", "ConvInteger"):
                scales.update(inputs[2:])
                weights.update(inputs[:2])
            elif op in ("Resize", "Upsample"):
                scales.update(inputs[1:])
            elif op == "BatchNormalization":
                weights.update(inputs[1:])
            elif op == "Conv":
                weights.update(inputs[1:])
    # Rounded weights that are scaled back by a plain product.
    made = {n.output[0]: n for g in graphs(model.graph) for n in g.node if n.output}
    constants = {t.name: t.data_type for g in graphs(model.graph) for t in g.initializer}
    for graph in graphs(model.graph):
        for node in graph.node:
            if node.op_type in ("Mul", "Sub"):
                cast = [i for i in node.input if i in made and made[i].op_type in ("Cast", "Sub")
                        and constants.get(made[i].input[0]) in (2, 3)]
                scales.update(i for i in node.input if cast and i not in cast)
    for graph in graphs(model.graph):
        tensors = [(t.name, t) for t in graph.initializer]
        tensors += [(n.output[0], a.t) for n in graph.node if n.op_type == "Constant" for a in n.attribute if a.HasField("t")]
        used = {i for g in graphs(model.graph) for n in g.node for i in n.input}
        for name, tensor in tensors:
            count = math.prod(tensor.dims)
            is_float = tensor.data_type in (1, 10, 11, 16)
            if name in scales or name not in used:
                continue
            if is_float and (count > 1 or name in weights) or tensor.data_type in (2, 3, 21, 22) and count > 1 \
                    or name in weights and tensor.data_type in (2, 3, 6):
                total += count
                stored += len(numpy_helper.to_array(tensor).tobytes())
    return total, stored


def inputs(model, axes):
    known = {t.name for t in model.graph.initializer}
    feed = {}
    for value in model.graph.input:
        if value.name in known:
            continue
        tensor = value.type.tensor_type
        shape = [d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else
                 axes[d.dim_param] if d.dim_param in axes else axes[f"{value.name}[{i}]"] for i, d in enumerate(tensor.shape.dim)]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if value.name in axes:
            feed[value.name] = np.full(shape, axes[value.name], dtype)
        elif np.issubdtype(dtype, np.floating):
            feed[value.name] = np.random.default_rng(0).standard_normal(shape).astype(dtype)
        else:
            feed[value.name] = np.ones(shape, dtype)
    return feed


def macs(model, axes):
    constants = {t.name: list(t.dims) for g in graphs(model.graph) for t in g.initializer}
    named = {o.name for o in model.graph.output}
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    for node in model.graph.node:
        for name in node.output:
            if name and name not in named:
                typed.graph.output.append(onnx.ValueInfoProto(name=name))
                named.add(name)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(typed.SerializeToString(), options)
    feed = inputs(model, axes)
    names = [o.name for o in session.get_outputs()]
    shapes = {name: list(np.shape(v)) for name, v in zip(names, session.run(names, feed)) if isinstance(v, np.ndarray)}
    shapes |= {name: list(v.shape) for name, v in feed.items()} | constants
    total = collections.Counter()
    for node in model.graph.node:
        at = MULTIPLY.get(node.op_type)
        if at is None or node.output[0] not in shapes and node.op_type not in ("LSTM", "GRU", "RNN"):
            continue
        x, w = shapes[node.input[0]], shapes[node.input[at]]
        if node.op_type == "ConvTranspose":
            n = math.prod(w) * math.prod(x[2:]) * x[0]
        elif "Conv" in node.op_type:
            y = shapes[node.output[0]]
            n = math.prod(w) * math.prod(y[2:]) * y[0]
        elif node.op_type in ("LSTM", "GRU", "RNN"):
            n = (math.prod(w) + math.prod(shapes[node.input[2]])) * x[0] * x[1]
        elif node.op_type == "Gemm":
            flip = any(a.name == "transA" and a.i for a in node.attribute)
            n = math.prod(shapes[node.output[0]]) * x[0 if flip else 1]
        else:
            n = math.prod(shapes[node.output[0]]) * x[-1]
        total[node.op_type] += n
    return sum(total.values()), dict(total)


def main():
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["file", "axes", "parameters", "macs", "weight_bytes"])
    files = []
    for argument in sys.argv[1:]:
        if "=" in argument:
            name, size = argument.rsplit("=", 1)
            files[-1][1][name] = int(size)
        else:
            files.append((argument, {}))
    for path, axes in files:
        model = onnx.load(path)
        count, stored = parameters(model)
        work, by_operator = macs(model, axes)
        print(path, by_operator, file=sys.stderr)
        name = "/".join(path.split("/")[-2:])
        out.writerow([name, " ".join(f"{k}={v}" for k, v in axes.items()), count, work, stored])


if __name__ == "__main__":
    main()
