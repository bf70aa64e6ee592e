"""Writes a GGUF with two rows of random blocks in every format that the program decodes, each beside its values as the
`gguf` package (MIT, of llama.cpp) decodes them. The tests of the weights' reader compare with it.

    pip install gguf==0.19.0
    python scripts/gguf_blocks.py core/tests/fixtures/weights/blocks.gguf
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFWriter, quants
from gguf.constants import GGML_QUANT_SIZES

# Where the scales of a block are, in 16 bits; random bits there would often be no number.
SCALES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64],
    T.MXFP4: [],
}

random = np.random.default_rng(7)
writer = GGUFWriter(sys.argv[1], "none")
writer.add_string("test.text", "ein Wörtchen")
writer.add_array("test.texts", ["a", "", "bc"])
writer.add_array("test.numbers", [1, -2, 3])
writer.add_uint64("test.large", 2**63)
writer.add_float32("test.float", 0.5)
writer.add_bool("test.flag", True)
for kind, scales in SCALES.items():
    elements, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (2, 256 // elements, size), dtype=np.uint8)
    if kind == T.MXFP4:
        blocks[..., 0] = random.integers(100, 140, blocks.shape[:-1])
        blocks[0, :3, 0] = [0, 1, 2]
    for at in scales:
        scale = random.normal(0, 0.1, blocks.shape[:-1]).astype(np.float16)
        blocks[..., at : at + 2] = scale[..., None].view(np.uint8)
    rows = blocks.reshape(2, -1)
    writer.add_tensor(kind.name, rows, raw_dtype=kind)
    writer.add_tensor(kind.name + ".decoded", quants.dequantize(rows, kind).astype(np.float32))
values = random.normal(0, 1, (2, 256)).astype(np.float32)
writer.add_tensor("F16", values.astype(np.float16))
writer.add_tensor("F16.decoded", values.astype(np.float16).astype(np.float32))
bits = values.view(np.uint32) >> 16
writer.add_tensor("BF16", bits.astype(np.uint16).view(np.uint8), raw_dtype=T.BF16)
writer.add_tensor("BF16.decoded", (bits << 16).astype(np.uint32).view(np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
