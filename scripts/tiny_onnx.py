#!/usr/bin/env python3
"""Tiny ONNX files with random weights, one per group of operators, and what they come to.

    pip install onnx==1.23.2 onnxruntime==1.32.0
    python3 scripts/tiny_onnx.py core/tests/fixtures/onnx

Parameters and multiply-accumulates in counts.csv are those of onnx_counts.py, which runs the file; where it does not see
into a node (loops, functions, products of packed weights) they are counted by hand here, beside the file.
"""
import csv
import math
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

import onnx_counts

RANDOM = np.random.default_rng(7)
FILES = {}


def weight(name, *shape, dtype=np.float32):
    if np.issubdtype(dtype, np.integer):
        values = RANDOM.integers(0, 100, shape).astype(dtype)
    else:
        values = RANDOM.standard_normal(shape).astype(dtype)
    return numpy_helper.from_array(values, name)


def given(name, values, dtype=np.int64):
    return numpy_helper.from_array(np.array(values, dtype), name)


def node(op, inputs, outputs, **attributes):
    # "-" is an input that is left out.
    return h.make_node(op, [i.strip("-") for i in inputs.split()], outputs.split(), **attributes)


def file(name, nodes, inputs, outputs, tensors, axes=None, by_hand=None, opset=17, extra=(), functions=(), bound=""):
    graph = h.make_graph(nodes, name, [h.make_tensor_value_info(n, t, s) for n, t, s in inputs],
                         [h.make_tensor_value_info(n, t, None) for n, t in outputs], tensors)
    sets = [h.make_opsetid("", opset), *(h.make_opsetid(domain, 1) for domain in extra)]
    model = h.make_model(graph, opset_imports=sets, functions=list(functions), ir_version=10)
    FILES[name] = (model, axes or {}, by_hand, bound)


def all_files():
    file("dense", [node("Gemm", "x w b", "h", transB=1), node("Relu", "h", "r"), node("Gemm", "r v c", "y")],
         [("x", T.FLOAT, ["batch", 12])], [("y", T.FLOAT)],
         [weight("w", 20, 12), weight("b", 20), weight("v", 20, 5), weight("c", 5)], {"batch": 1})

    file("image", [node("Conv", "x w b", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
                   node("BatchNormalization", "c s t m v", "n"), node("Relu", "n", "r"),
                   node("Conv", "r d", "e", pads=[2, 2, 2, 2], dilations=[2, 2], group=8),
                   node("Add", "r e", "a"), node("MaxPool", "a", "p", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
                   node("AveragePool", "p", "q", kernel_shape=[2, 2], auto_pad="SAME_UPPER", strides=[2, 2]),
                   node("GlobalAveragePool", "q", "g"), node("Flatten", "g", "f"), node("Gemm", "f k l", "y", transB=1)],
         [("x", T.FLOAT, ["n", 3, "height", "width"])], [("y", T.FLOAT)],
         [weight("w", 8, 3, 3, 3), weight("b", 8), *(weight(n, 8) for n in "stm"), given("v", [1] * 8, np.float32),
          weight("d", 8, 1, 3, 3), weight("k", 10, 8), weight("l", 10)], {"n": 1, "height": 224, "width": 224})

    file("line_and_volume", [node("Conv", "x w", "c", pads=[2, 1], strides=[3]), node("Reshape", "c s", "v"),
                             node("Conv", "v u", "y", pads=[1, 1, 0, 1, 1, 0])],
         [("x", T.FLOAT, [1, 4, 100])], [("y", T.FLOAT)],
         [weight("w", 6, 4, 5), given("s", [1, 6, 3, -1, 1]), weight("u", 2, 6, 3, 3, 1)])

    file("generator", [node("ConvTranspose", "x w", "a", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
                       node("ConvTranspose", "a v", "b", strides=[2, 2], auto_pad="SAME_UPPER", group=2),
                       node("Resize", "b - s", "c", mode="nearest"), node("DepthToSpace", "c", "d", blocksize=2),
                       node("Pad", "d p", "e"), node("Conv", "e u", "y")],
         [("x", T.FLOAT, [1, 6, 5, 5])], [("y", T.FLOAT)],
         [weight("w", 6, 4, 3, 3), weight("v", 4, 4, 4, 4), given("s", [1, 1, 1.5, 0.7], np.float32),
          given("p", [0, 0, 1, 1, 0, 0, 1, 1]), weight("u", 3, 2, 3, 3)])

    # One head of attention, its shapes computed from the input's.
    file("attention", [node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Gather", "s one", "l"),
                       node("Unsqueeze", "n axis", "n1"), node("Unsqueeze", "l axis", "l1"),
                       node("MatMul", "x wq", "q0"), node("Add", "q0 bq", "q1"), node("MatMul", "x wk", "k0"),
                       node("MatMul", "x wv", "v0"), node("Concat", "n1 l1 heads width", "to", axis=0),
                       node("Reshape", "q1 to", "q2"), node("Transpose", "q2", "q", perm=[0, 2, 1, 3]),
                       node("Reshape", "k0 to", "k2"), node("Transpose", "k2", "k", perm=[0, 2, 3, 1]),
                       node("Reshape", "v0 to", "v2"), node("Transpose", "v2", "v", perm=[0, 2, 1, 3]),
                       node("MatMul", "q k", "p0"), node("Div", "p0 root", "p1"),
                       node("Range", "zero l one", "places"), node("Unsqueeze", "places axis", "places1"),
                       node("LessOrEqual", "places1 places1", "mask"), node("Where", "mask p1 root", "p2"),
                       node("Softmax", "p2", "p", axis=-1), node("MatMul", "p v", "o0"),
                       node("Transpose", "o0", "o1", perm=[0, 2, 1, 3]), node("Concat", "n1 l1 all", "back", axis=0),
                       node("Reshape", "o1 back", "o2"), node("LayerNormalization", "o2 g h", "o3"),
                       node("Split", "o3 halves", "a b", axis=2), node("Mul", "a b", "m"),
                       node("Slice", "m first last along", "c"), node("Expand", "c wide", "e"),
                       node("MatMul", "e wo", "y")],
         [("x", T.FLOAT, ["batch", "sequence", 16])], [("y", T.FLOAT)],
         [given("zero", 0), given("one", 1), given("axis", [0]), given("heads", [4]), given("width", [4]),
          given("all", [16]), given("halves", [8, 8]), given("first", [-1]), given("last", [2**63 - 1]),
          given("along", [1]), given("wide", [1, 3, 8]), given("root", 2.0, np.float32),
          *(weight(n, 16, 16) for n in ("wq", "wk", "wv")), weight("bq", 16), weight("g", 16), weight("h", 16),
          weight("wo", 8, 7)], {"batch": 1, "sequence": 384})

    file("recurrent", [node("LSTM", "x w r b", "y1 a1 c1", hidden_size=6, direction="bidirectional"),
                       node("Transpose", "y1", "t", perm=[0, 2, 1, 3]), node("Reshape", "t s", "u"),
                       node("GRU", "u w2 r2 b2", "y2 a2", hidden_size=5), node("Squeeze", "y2 one", "v"),
                       node("RNN", "v w3 r3", "y3 a3", hidden_size=3), node("LSTM", "v w4 r4 b4", "y a4", hidden_size=4)],
         [("x", T.FLOAT, ["time", 1, 7])], [("y", T.FLOAT), ("a3", T.FLOAT)],
         [weight("w", 2, 24, 7), weight("r", 2, 24, 6), weight("b", 2, 48), given("s", [0, 0, -1]),
          weight("w2", 1, 15, 12), weight("r2", 1, 15, 5), weight("b2", 1, 30), given("one", [1]),
          weight("w3", 1, 3, 5), weight("r3", 1, 3, 3), weight("w4", 1, 16, 5), weight("r4", 1, 16, 4),
          weight("b4", 1, 32)], {"time": 384})

    scale, zero = given("s", 0.1, np.float32), given("z", 3, np.uint8)
    file("rounded_around", [node("QuantizeLinear", "x s z", "xq"), node("DequantizeLinear", "xq s z", "xd"),
                            node("DequantizeLinear", "w sw zw", "wd", axis=0), node("DequantizeLinear", "b sb zb", "bd", axis=0),
                            node("Conv", "xd wd bd", "c"), node("Relu", "c", "r"), node("QuantizeLinear", "r s z", "rq"),
                            node("DequantizeLinear", "rq s z", "rd"), node("Flatten", "rd", "f"),
                            node("DequantizeLinear", "v s8 z8", "vd"), node("MatMul", "f vd", "y")],
         [("x", T.FLOAT, [1, 2, 6, 6])], [("y", T.FLOAT)],
         [scale, zero, weight("w", 4, 2, 3, 3, dtype=np.int8), weight("sw", 4), given("zw", [0] * 4, np.int8),
          weight("b", 4, dtype=np.int32), weight("sb", 4), given("zb", [0] * 4, np.int32),
          weight("v", 64, 5, dtype=np.int8), given("s8", 0.2, np.float32), given("z8", 0, np.int8)])

    file("rounded_inside", [node("QuantizeLinear", "x s z", "xq"), node("QLinearConv", "xq s z w sw zw s z b", "c"),
                            node("Flatten", "c", "f"), node("QLinearMatMul", "f s z v s8 z8 s z", "m"),
                            node("DequantizeLinear", "m s z", "d"), node("DynamicQuantizeLinear", "d", "dq ds dz"),
                            node("MatMulInteger", "dq u dz", "i"), node("Cast", "i", "j", to=T.FLOAT),
                            node("Mul", "j ds", "k"), node("Cast", "e", "e1", to=T.FLOAT), node("Mul", "e1 es", "e2"),
                            node("MatMul", "k e2", "y")],
         [("x", T.FLOAT, [1, 2, 6, 6])], [("y", T.FLOAT)],
         [scale, zero, weight("w", 4, 2, 3, 3, dtype=np.int8), weight("sw", 4), given("zw", [0] * 4, np.int8),
          weight("b", 4, dtype=np.int32), weight("v", 64, 5, dtype=np.uint8), given("s8", 0.2, np.float32),
          given("z8", 9, np.uint8), weight("u", 5, 8, dtype=np.uint8), weight("e", 8, 3, dtype=np.int8), weight("es", 3)])

    # Four bits in blocks of 16: 24 outputs, 32 inputs.
    file("four_bits", [node("MatMulNBits", "x w s", "y", domain="com.microsoft", K=32, N=24, bits=4, block_size=16)],
         [("x", T.FLOAT, [5, 32])], [("y", T.FLOAT)],
         [weight("w", 24, 2, 8, dtype=np.uint8), weight("s", 48)], by_hand=(24 * 32, 5 * 24 * 32, 24 * 16), extra=["com.microsoft"])

    file("half", [node("MatMul", "x w", "h"), node("Cast", "v", "v1", to=T.FLOAT), node("Cast", "h", "h1", to=T.FLOAT),
                  node("MatMul", "h1 v1", "y")],
         [("x", T.FLOAT16, [3, 8])], [("y", T.FLOAT)],
         [weight("w", 8, 6, dtype=np.float16), weight("v", 6, 4, dtype=np.float16)])

    # The table of words is the head too.
    file("tied", [node("Gather", "table x", "e"), node("Transpose", "table", "t", perm=[1, 0]), node("MatMul", "e t", "y")],
         [("x", T.INT64, [1, "tokens"])], [("y", T.FLOAT)], [weight("table", 50, 8)], {"tokens": 384})

    def constant(name, *shape):
        return h.make_node("Constant", [], [name], value=weight("", *shape))

    def branch(name, width):
        nodes = [constant(f"{name}_w", 6, width), h.make_node("MatMul", ["x", f"{name}_w"], [f"{name}_h"]),
                 h.make_node("ReduceSum", [f"{name}_h"], [f"{name}_y"], keepdims=0)]
        return h.make_graph(nodes, name, [], [h.make_tensor_value_info(f"{name}_y", T.FLOAT, [])])

    file("branches", [h.make_node("If", ["c"], ["a"], then_branch=branch("yes", 10), else_branch=branch("no", 30)),
                      h.make_node("If", ["t"], ["b"], then_branch=branch("on", 7), else_branch=branch("off", 9)),
                      node("Add", "a b", "y")],
         [("x", T.FLOAT, [2, 6]), ("c", T.BOOL, [])], [("y", T.FLOAT)], [given("t", True, np.bool_)],
         by_hand=(6 * (10 + 30 + 7), 2 * 6 * (30 + 7), None))

    body = h.make_graph([h.make_node("MatMul", ["s", "w"], ["t"]), h.make_node("Identity", ["go"], ["on"]),
                         h.make_node("Identity", ["t"], ["u"])], "body",
                        [h.make_tensor_value_info("i", T.INT64, []), h.make_tensor_value_info("go", T.BOOL, []),
                         h.make_tensor_value_info("s", T.FLOAT, [3, 4])],
                        [h.make_tensor_value_info("on", T.BOOL, []), h.make_tensor_value_info("t", T.FLOAT, [3, 4]),
                         h.make_tensor_value_info("u", T.FLOAT, [3, 4])])
    slices = h.make_graph([h.make_node("MatMul", ["slice", "v"], ["m"])], "slices",
                          [h.make_tensor_value_info("slice", T.FLOAT, [3, 4])], [h.make_tensor_value_info("m", T.FLOAT, [3, 2])])
    file("rounds", [h.make_node("Loop", ["five", "yes", "x"], ["last", "all"], body=body),
                    h.make_node("Scan", ["all"], ["y"], body=slices, num_scan_inputs=1)],
         [("x", T.FLOAT, [3, 4])], [("y", T.FLOAT)],
         [given("five", 5), given("yes", True, np.bool_), weight("w", 4, 4), weight("v", 4, 2)],
         by_hand=(16 + 8, 5 * (3 * 4 * 4 + 3 * 4 * 2), None))

    twice = h.make_function("own", "Twice", ["a", "w"], ["c"],
                            [h.make_node("Gemm", ["a", "w"], ["b"]), h.make_node("Gemm", ["b", "w"], ["c"])],
                            [h.make_opsetid("", 17)], ["flip"])
    twice.node[0].attribute.append(onnx.AttributeProto(name="transB", ref_attr_name="flip", type=onnx.AttributeProto.INT))
    twice.node[1].attribute.append(onnx.AttributeProto(name="transB", ref_attr_name="flip", type=onnx.AttributeProto.INT))
    file("function", [node("Twice", "x w", "h", domain="own", flip=1), node("Twice", "h v", "y", domain="own", flip=0)],
         [("x", T.FLOAT, [2, 6])], [("y", T.FLOAT)], [weight("w", 6, 6), weight("v", 6, 6)],
         by_hand=(72, 4 * 2 * 36, None), extra=["own"], functions=[twice])

    file("einsum", [node("Einsum", "x w", "h", equation="bsi,ihd->bshd"), node("Einsum", "h h", "y", equation="bshd,bthd->bhst")],
         [("x", T.FLOAT, [1, 5, 8])], [("y", T.FLOAT)], [weight("w", 8, 2, 4)],
         by_hand=(64, 5 * 8 * 8 + 2 * 5 * 5 * 4, None))

    file("whole_attention", [node("MatMul", "x wq", "q"), node("Attention", "q x x", "y", q_num_heads=4, kv_num_heads=2)],
         [("x", T.FLOAT, [1, 6, 8])], [("y", T.FLOAT)], [weight("wq", 8, 16)],
         by_hand=(128, 6 * 8 * 16 + 2 * 4 * 6 * 6 * 4, None), opset=23)

    file("depends", [node("MatMul", "x w", "h"), node("NonZero", "h", "z"), node("Cast", "z", "f", to=T.FLOAT),
                     node("MatMul", "v f", "y")],
         [("x", T.FLOAT, [2, 3])], [("y", T.FLOAT)], [weight("w", 3, 4), weight("v", 6, 2)],
         by_hand=(12 + 12, 2 * 3 * 4, None), bound="'z' (NonZero)")

    file("unheard_of", [node("Whirl", "x", "h", domain="own"), node("MatMul", "h w", "y")],
         [("x", T.FLOAT, [2, 3])], [("y", T.FLOAT)], [weight("w", 3, 4)], by_hand=(None, None, None), extra=["own"],
         bound="'h' (Whirl)")

    # Both directions, and one of gated units with a bias inside, as PyTorch has them.
    file("memory", [node("LSTM", "x w r b", "a", hidden_size=4, direction="bidirectional"), node("Transpose", "a", "t", perm=[0, 2, 1, 3]),
                    node("Reshape", "t s", "u"), node("GRU", "u v q d", "g", hidden_size=5, linear_before_reset=1),
                    node("Squeeze", "g o", "f"), node("MatMul", "f k", "y")],
         [("x", T.FLOAT, [12, 1, 6])], [("y", T.FLOAT)],
         [weight("w", 2, 16, 6), weight("r", 2, 16, 4), weight("b", 2, 32), given("s", [12, 1, 8]), weight("v", 1, 15, 8),
          weight("q", 1, 15, 5), weight("d", 1, 30), given("o", [1]), weight("k", 5, 3)])

    # 64 GB of zeros on the way.
    file("huge", [node("ConstantOfShape", "s", "z"), node("ReduceMean", "z", "m", keepdims=0), node("MatMul", "x w", "h"),
                  node("Add", "h m", "y")],
         [("x", T.FLOAT, [2, 3])], [("y", T.FLOAT)], [given("s", [1 << 34]), weight("w", 3, 4)], by_hand=(12, 2 * 3 * 4, None))


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    all_files()
    with open(folder / "counts.csv", "w", newline="") as table:
        out = csv.writer(table, lineterminator="\n")
        out.writerow(["file", "parameters", "macs", "weight_bytes", "by", "unknown"])
        for name, (model, axes, by_hand, bound) in FILES.items():
            (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
            if by_hand:
                counts, by = by_hand, "hand"
            else:
                parameters, stored = onnx_counts.parameters(model)
                counts, by = (parameters, onnx_counts.macs(model, axes)[0], stored), "run"
            out.writerow([name, *("" if n is None else n for n in counts), by, bound])
    # Weights in a file of their own.
    model, axes, *_ = FILES["dense"]
    onnx.save(model, folder / "beside.onnx", save_as_external_data=True, location="beside.data", size_threshold=0)
    assert all(path.stat().st_size <= 20_000 for path in folder.glob("*.onnx")), "too large"


main()
