#!/usr/bin/env python3
"""Small matrices as other programs pack them, and the numbers that these stand for.

    pip install torch==2.15.0 transformers==5.24.0 safetensors==0.8.0 numpy compressed-tensors==0.20.1 bitsandbytes==0.50.2
    python3 scripts/tiny_packed.py core/tests/fixtures/packed

One safetensors file for each scheme, with one matrix 'layer.weight', and one JSON with all quantization_configs and
numbers, rounded to single precision. compressed-tensors and bitsandbytes pack and unpack with their own code, blocks of
FP8 are unpacked by transformers. GPTQ and AWQ, whose programs need a GPU, are packed here in NumPy, from their
descriptions: gptqmodel/nn_modules/qlinear/__init__.py (TorchQuantLinear.dequantize_weight) and
awq/utils/packing_utils.py, awq/modules/linear/gemm.py.
"""
import json
import pathlib
import sys

import bitsandbytes.functional as bits
import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.base import pack_to_int32, unpack_from_int32
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

out = pathlib.Path(sys.argv[1])
out.mkdir(exist_ok=True)
random = np.random.default_rng(13)
torch.manual_seed(13)
cases = {}


def case(name, config, tensors, numbers):
    save = save_numpy if isinstance(next(iter(tensors.values())), np.ndarray) else save_file
    save({f"layer.{part}": values for part, values in tensors.items()}, out / f"{name}.safetensors")
    (out / f"{name}.safetensors").chmod(0o644)
    numbers = np.asarray(numbers, dtype=np.float32)
    cases[name] = {"config": config, "shape": numbers.shape,
                   "numbers": [float(f"{value:.7g}") for value in numbers.flatten()]}


def words(codes, width):
    """Codes along the first axis into words from the low bits on."""
    per = 32 // width
    codes = codes.astype(np.uint32).reshape(-1, per, *codes.shape[1:])
    packed = np.zeros((codes.shape[0], *codes.shape[2:]), np.uint32)
    for place in range(per):
        packed |= codes[:, place] << np.uint32(width * place)
    return packed.view(np.int32)


def gptq(name, width, order, symmetric, version=None, inputs=32, outputs=16, group=8):
    groups = inputs // group
    codes = random.integers(0, 1 << width, (inputs, outputs))
    # A zero of 0 is stored as the largest code.
    zeros = np.full((groups, outputs), 1 << width - 1) if symmetric else random.integers(0, 1 << width, (groups, outputs))
    scales = random.uniform(0.01, 0.1, (groups, outputs)).astype(np.float16)
    of = np.arange(inputs) // group
    if order:
        of = random.permutation(of)
    stored = zeros if version == "gptq_v2" else (zeros - 1) % (1 << width)
    tensors = {"qweight": words(codes, width), "qzeros": np.ascontiguousarray(words(stored.T, width).T), "scales": scales,
               "g_idx": of.astype(np.int32)}
    config = {"quant_method": "gptq", "bits": width, "group_size": group, "desc_act": order, "sym": symmetric}
    if version:
        config["checkpoint_format"] = version
    case(name, config, tensors, (scales.astype(np.float32)[of] * (codes - zeros[of])).T)


gptq("gptq-4", 4, False, True)
gptq("gptq-4-order", 4, True, False, "gptq")
gptq("gptq-4-v2", 4, False, False, "gptq_v2")
gptq("gptq-8", 8, True, False)

# AWQ: output 8 k + i stands at place order.index(i) of word k.
inputs, outputs, group, order = 32, 16, 16, [0, 2, 4, 6, 1, 3, 5, 7]
codes = random.integers(0, 16, (inputs, outputs))
zeros = random.integers(0, 16, (inputs // group, outputs))
scales = random.uniform(0.01, 0.1, (inputs // group, outputs)).astype(np.float16)
packed = [np.ascontiguousarray(words(np.ascontiguousarray(part.reshape(-1, outputs // 8, 8)[:, :, order].reshape(-1, outputs).T), 4).T)
          for part in (codes, zeros)]
of = np.arange(inputs) // group
case("awq", {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True},
     {"qweight": packed[0], "qzeros": packed[1], "scales": scales},
     (scales.astype(np.float32)[of] * (codes - zeros[of])).T)

# Blocks of FP8.
numbers = torch.randn(8, 12).to(torch.float8_e4m3fn)
scales = torch.rand(2, 3) + 0.5
case("fp8", {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [4, 4]},
     {"weight": numbers, "weight_scale_inv": scales},
     Fp8Dequantize(None)._dequantize_one(numbers, scales, torch.float32))


def compressed(name, width, symmetric, groups, rows=16, columns=20):
    """Integers in words, of which the last of a row is not full."""
    most = 1 << width - 1
    codes = torch.randint(-most, most, (rows, columns), dtype=torch.int8)
    scales = torch.rand(rows, groups) * 0.1 + 0.01
    packed = pack_to_int32(codes, width)
    assert torch.equal(unpack_from_int32(packed, width, torch.Size((rows, columns))), codes)
    tensors = {"weight_packed": packed, "weight_scale": scales, "weight_shape": torch.tensor([rows, columns])}
    zeros = torch.zeros(rows, groups, dtype=torch.int8)
    if not symmetric:
        zeros = torch.randint(-most, most, (rows, groups), dtype=torch.int8)
        tensors["weight_zero_point"] = pack_to_int32(zeros, width, packed_dim=0).contiguous()
    of = torch.arange(columns) // (columns // groups)
    config = {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": {
        "targets": ["Linear"], "input_activations": None, "weights": {
            "num_bits": width, "type": "int", "symmetric": symmetric, "strategy": "group", "group_size": columns // groups}}}}
    case(name, config, tensors, (codes.float() - zeros.float()[:, of]) * scales[:, of])


compressed("compressed-4", 4, True, 5)
compressed("compressed-4-zeros", 4, False, 5)
compressed("compressed-8", 8, True, 1)
for kind, numbers in (("float", torch.randn(8, 12).to(torch.float8_e4m3fn)),
                      ("int", torch.randint(-128, 128, (8, 12), dtype=torch.int8))):
    scales = (torch.rand(8, 1) + 0.5).to(torch.bfloat16)
    config = {"quant_method": "compressed-tensors", "format": f"{kind}-quantized", "config_groups": {"group_0": {
        "targets": ["Linear"], "input_activations": {"dynamic": True, "num_bits": 8, "type": kind}, "weights": {
            "num_bits": 8, "type": kind, "symmetric": True, "strategy": "channel"}}}}
    case(f"compressed-{kind}", config, {"weight": numbers, "weight_scale": scales}, numbers.float() * scales.float())

# bitsandbytes, in rows of whole blocks: of others version 0.50.2 gives wrong numbers on CPUs (1.03 from what was packed where
# its codes and maxima are 0.27 from it).
for nested in (False, True):
    weight = torch.randn(6, 128)
    packed, state = bits.quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=nested)
    parts = {f"weight.{part}": values.contiguous() for part, values in state.as_dict(packed=True).items()}
    case("nf4-nested" if nested else "nf4",
         {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": "nf4",
          "bnb_4bit_quant_storage": "uint8", "bnb_4bit_use_double_quant": nested},
         {"weight": packed, **parts}, bits.dequantize_4bit(packed, state).float())
packed, maxima, _ = bits.int8_vectorwise_quant(torch.randn(6, 10).half())
case("int8", {"quant_method": "bitsandbytes", "load_in_8bit": True},
     {"weight": packed, "SCB": maxima, "weight_format": torch.tensor(0, dtype=torch.uint8)},
     bits.int8_vectorwise_dequant(packed, maxima).float())

(out / "packed.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
