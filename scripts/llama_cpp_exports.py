#!/usr/bin/env python3
"""Files that `wattif export` wrote, as llama.cpp runs and would have written them.

    pip install llama-cpp-python==0.3.36 gguf==0.19.0 numpy
    for f in q8_0 q4_0 q4_k_m q2_k_m; do wattif export --model ORIGINAL.gguf --format $f FOLDER/$f.gguf; done
    python3 scripts/llama_cpp_exports.py ORIGINAL.gguf FOLDER TEXT.txt

For each file a line with its bytes, the perplexity of the text as llama.cpp's tool counts it (contexts of 512 tokens, the
second half of each scored), that of llama.cpp's own rounding of the original to the same format, how many tensors of the two
have the same bytes, and what follows "The capital of France is", the likeliest token each time.
"""
import ctypes
import math
import os
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np

CONTEXT = 512
# Number of the type of file, and whether all layers are in the same format.
TYPES = {
    "q4_0": (2, True),
    "q4_1": (3, True),
    "q8_0": (7, True),
    "q5_0": (8, True),
    "q5_1": (9, True),
    "q2_k": (10, True),
    "q3_k": (11, True),
    "q4_k": (14, True),
    "q5_k": (16, True),
    "q6_k": (18, True),
    "q2_k_m": (10, False),
    "q3_k_s": (11, False),
    "q3_k_m": (12, False),
    "q3_k_l": (13, False),
    "q4_k_s": (14, False),
    "q4_k_m": (15, False),
    "q5_k_s": (16, False),
    "q5_k_m": (17, False),
}


def open_model(path):
    return llama_cpp.Llama(path, n_ctx=CONTEXT, n_batch=CONTEXT, n_threads=2, logits_all=True, verbose=False)


def perplexity(model, text):
    ids = model.tokenize(text.encode(), add_bos=False, special=False)
    begin = model.token_bos() if llama_cpp.llama_vocab_get_add_bos(llama_cpp.llama_model_get_vocab(model.model)) else None
    nats, count = 0.0, 0
    for start in range(0, len(ids) - CONTEXT + 1, CONTEXT):
        context = ids[start : start + CONTEXT]
        model.reset()
        model.eval(context if begin is None else [begin] + context[1:])
        rows = np.array(model.scores[CONTEXT // 2 : CONTEXT - 1], np.float64)
        most = rows.max(-1, keepdims=True)
        rows = rows - most - np.log(np.exp(rows - most).sum(-1, keepdims=True))
        targets = context[CONTEXT // 2 + 1 :]
        nats -= rows[np.arange(len(targets)), targets].sum()
        count += len(targets)
    return math.exp(nats / count)


def continuation(model):
    model.reset()
    answer = model.create_completion("The capital of France is", max_tokens=12, temperature=0.0)
    return answer["choices"][0]["text"]


def quantized(original, kind, path):
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.pure = kind
    parameters.allow_requantize = True
    failed = llama_cpp.llama_model_quantize(original.encode(), path.encode(), ctypes.byref(parameters))
    assert failed == 0, path


def tensors(path):
    return {t.name: (t.tensor_type, t.data.tobytes()) for t in gguf.GGUFReader(path).tensors}


original, folder, text = sys.argv[1], sys.argv[2], open(sys.argv[3]).read()
print("format,bytes,llama_cpp,llama_cpp_of_its_own,tensors,same_tensors,continuation")
for name in sorted(os.listdir(folder)):
    path, kind = os.path.join(folder, name), TYPES[name.removesuffix(".gguf")]
    model = open_model(path)
    row = [name.removesuffix(".gguf"), os.path.getsize(path), f"{perplexity(model, text):.4f}"]
    said = continuation(model)
    with tempfile.TemporaryDirectory() as other:
        other = os.path.join(other, "own.gguf")
        quantized(original, kind, other)
        ours, theirs = tensors(path), tensors(other)
        same = sum(theirs.get(key) == value for key, value in ours.items())
        # The same bytes have the same perplexity.
        row.append(row[2] if same == len(ours) else f"{perplexity(open_model(other), text):.4f}")
        row += [len(ours), same]
        for key in [key for key, value in ours.items() if theirs.get(key) != value][:3]:
            print("#", key, ours[key][0].name, theirs[key][0].name, file=sys.stderr)
    print(*row, '"' + said.replace('"', '""').replace("\n", "\\n") + '"', sep=",", flush=True)
