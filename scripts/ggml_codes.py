#!/usr/bin/env python3
"""SHA-256 of the codes that ggml gives to fixed numbers, in each block format that is written here.

    pip install llama-cpp-python==0.3.36 numpy
    python3 scripts/ggml_codes.py

The test `codes_are_those_of_ggml` (core/src/compress/tests/blocks.rs) holds what it prints.
"""
import ctypes
import hashlib
import os

import llama_cpp
import numpy as np

COUNT = 8192
# Number of the format, weights and bytes of a block.
FORMATS = {
    "Q4_0": (2, 32, 18),
    "Q4_1": (3, 32, 20),
    "Q5_0": (6, 32, 22),
    "Q5_1": (7, 32, 24),
    "Q8_0": (8, 32, 34),
    "Q2_K": (10, 256, 84),
    "Q3_K": (11, 256, 110),
    "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176),
    "Q6_K": (14, 256, 210),
}


def numbers():
    state, out = 1, np.zeros(COUNT, np.float32)
    for i in range(COUNT):
        total = 0.0
        for _ in range(4):
            state = (state * 1664525 + 1013904223) % 2**32
            total += (state >> 8) / 2**24 - 0.5
        out[i] = np.float32(total) * np.float32(0.05)
    # Rows of zeros, of equal numbers, of small ones, and a large one.
    out[:256], out[256:512], out[512:768] = 0, 0.01, -0.01
    out[768:1024] *= np.float32(1e-4)
    out[1024:1056], out[1056] = 0, 1
    return out


library = os.path.join(os.path.dirname(llama_cpp.__file__), "lib", "libggml-base.so")
quantize = ctypes.CDLL(library).ggml_quantize_chunk
quantize.restype = ctypes.c_size_t
quantize.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + 3 * [ctypes.c_int64] + [ctypes.c_void_p]
values = numbers()
print("llama-cpp-python", llama_cpp.__version__)
for name, (number, weights, size) in FORMATS.items():
    codes = np.zeros(COUNT // weights * size, np.uint8)
    written = quantize(number, values.ctypes.data, codes.ctypes.data, 0, COUNT // 256, 256, None)
    assert written == len(codes), name
    print(name, hashlib.sha256(codes.tobytes()).hexdigest())
