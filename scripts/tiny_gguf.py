#!/usr/bin/env python3
"""Tiny language models with random weights, one GGUF per kind of network, and what llama.cpp computes with them.

    pip install gguf==0.19.0 numpy llama-cpp-python==0.3.36
    python3 scripts/tiny_gguf.py core/tests/fixtures/language [KIND...]

Beside every file stands a JSON with a sequence of tokens and llama.cpp's logits after each of them, in single precision
and with keys and values in single precision, on one thread. Weights are wide, so that every part of a network shows in
its logits.
"""
import json
import pathlib
import sys
import zlib

import gguf
import llama_cpp
import numpy as np

VOCABULARY = 96
WIDTH = 32
HIDDEN = 40
HEADS = 4
# Inner widths of experts.
EXPERT = 8
SHARED = 12
CONTEXT = 64
TOKENS = [(7 * i * i + 3 * i + 11) % VOCABULARY for i in range(20)]

# The tensors of a block beside those of every kind, and what else differs. `head` is the width of a head, `kv` the heads
# of keys and values, `meta` what the metadata of the kind say more.
BEFORE = ["attn_norm", "ffn_norm"]
KINDS = {
    "llama": dict(kv=2, factors=["rope_freqs"], meta={"rope.scaling.type": "linear", "rope.scaling.factor": 2.0}),
    "qwen2": dict(kv=2, biases=["attn_q", "attn_k", "attn_v"], tied=False),
    "qwen3": dict(kv=2, head=16, head_norms=True),
    "gemma": dict(kv=1, head=16),
    "gemma2": dict(
        kv=2,
        head=16,
        norms=BEFORE + ["post_attention_norm", "post_ffw_norm"],
        meta={
            "attention.sliding_window": 5,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 8.0,
        },
    ),
    "gemma3": dict(
        kv=1,
        head=16,
        head_norms=True,
        norms=BEFORE + ["post_attention_norm", "post_ffw_norm"],
        meta={
            "attention.sliding_window": 5,
            "attention.sliding_window_pattern": [True, False],
            "rope.freq_base": 1e6,
            "rope.scaling.type": "linear",
            "rope.scaling.factor": 8.0,
        },
    ),
    "phi3": dict(
        kv=2,
        fused=True,
        feed="one",
        tied=False,
        factors=["rope_factors_short", "rope_factors_long"],
        meta={
            "context_length": 512,
            "rope.scaling.original_context_length": 256,
            "rope.scaling.attn_factor": 1.19,
        },
    ),
    "olmo2": dict(norms=["post_attention_norm", "post_ffw_norm"], head_norms="whole", tied=False),
    "granite": dict(
        kv=2,
        meta={"logit_scale": 3.0, "embedding_scale": 2.5, "residual_scale": 0.4, "attention.scale": 0.2},
    ),
    "stablelm": dict(
        kv=2, layer=True, rotary=4, biases=["attn_q", "attn_k", "attn_v"], tied=False
    ),
    "gpt2": dict(
        layer=True, fused=True, feed="plain", rotary=0, positions=True,
        biases=["attn_qkv", "attn_output", "ffn_up", "ffn_down"],
    ),
    "gptneox": dict(
        layer=True, fused=True, feed="plain", rotary=4, tied=False,
        biases=["attn_qkv", "attn_output", "ffn_up", "ffn_down"],
        meta={"use_parallel_residual": True},
    ),
    "starcoder2": dict(
        kv=2, layer=True, feed="plain",
        biases=["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"],
    ),
    "falcon": dict(kv=1, layer=True, fused=True, feed="plain", norms=["attn_norm"], tied=False),
    "llama-experts": dict(kind="llama", kv=2, feed="experts", meta={"expert_count": 4, "expert_used_count": 2}),
    "qwen2moe": dict(
        kv=2, biases=["attn_q", "attn_k", "attn_v"], feed="experts", shared=SHARED,
        meta={
            "expert_count": 4,
            "expert_used_count": 2,
            "expert_feed_forward_length": EXPERT,
            "expert_shared_feed_forward_length": SHARED,
        },
    ),
    "qwen3moe": dict(
        kv=2, head_norms=True, feed="experts",
        meta={"expert_count": 5, "expert_used_count": 3, "expert_feed_forward_length": EXPERT},
    ),
    "olmoe": dict(
        head_norms="whole", feed="experts", meta={"expert_count": 4, "expert_used_count": 2}
    ),
    "granitemoe": dict(
        width=16, kv=2, feed="experts", shared=SHARED, ungated=True,
        meta={
            "logit_scale": 3.0,
            "embedding_scale": 2.5,
            "residual_scale": 0.4,
            "attention.scale": 0.2,
            "expert_count": 4,
            "expert_used_count": 2,
            "expert_shared_feed_forward_length": SHARED,
        },
    ),
    "minicpm": dict(
        width=16, kv=2, meta={"logit_scale": 1.5, "embedding_scale": 3.0, "residual_scale": 0.7}
    ),
    "internlm2": dict(width=16, kv=2, tied=False),
    "ernie4_5": dict(width=16, kv=2, head=6),
    "smollm3": dict(width=16, kv=2, blocks=5),
    "exaone": dict(width=16, kv=2, factors=["rope_freqs"]),
    "exaone4": dict(width=16, kv=2, norms=["post_attention_norm", "post_ffw_norm"], head_norms=True),
    "starcoder": dict(
        width=16, kv=1, layer=True, fused=True, feed="plain", rotary=0, positions=True,
        biases=["attn_qkv", "attn_output", "ffn_up", "ffn_down"],
    ),
    "phi2": dict(
        width=16, layer=True, feed="plain", rotary=2, norms=["attn_norm"], tied=False,
        biases=["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down", "output"],
    ),
    "bloom": dict(
        width=24, heads=6, layer=True, fused=True, feed="plain", rotary=0, embedding_norm=True,
        biases=["attn_qkv", "attn_output", "ffn_up", "ffn_down"],
    ),
    "mpt": dict(
        width=24, heads=6, layer=True, shift=False, fused=True, feed="plain", rotary=0,
        meta={"attention.max_alibi_bias": 6.0, "attention.clamp_kqv": 0.0},
    ),
    "olmo": dict(width=16, kv=2, layer=True, norms=[], bare=True, tied=False),
    "command-r": dict(
        width=16, kv=2, layer=True, shift=False, norms=["attn_norm"], tied=True, meta={"logit_scale": 0.25}
    ),
    # Its larger version.
    "falcon-two-norms": dict(
        kind="falcon", kv=2, layer=True, fused=True, feed="plain", norms=["attn_norm", "attn_norm_2"]
    ),
}


def write(path, name):
    facts = KINDS[name]
    kind = facts.get("kind", name)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    writer = gguf.GGUFWriter(path, kind)
    width = facts.get("width", WIDTH)
    blocks, heads = facts.get("blocks", 2), facts.get("heads", HEADS)
    kv = facts.get("kv", heads)
    head = facts.get("head", width // heads)
    layer = facts.get("layer", False)
    biases = facts.get("biases", [])
    meta = {
        "context_length": CONTEXT,
        "embedding_length": width,
        "block_count": blocks,
        "feed_forward_length": HIDDEN,
        "attention.head_count": heads,
        "attention.head_count_kv": kv,
        "attention.layer_norm_epsilon" if layer else "attention.layer_norm_rms_epsilon": 1e-5,
    }
    if "head" in facts:
        meta |= {"attention.key_length": head, "attention.value_length": head}
    if facts.get("rotary", head):
        meta["rope.dimension_count"] = facts.get("rotary", head)
    meta |= facts.get("meta", {})
    if facts.get("feed") == "experts" and "expert_feed_forward_length" not in meta:
        meta["feed_forward_length"] = EXPERT
    for key, value in meta.items():
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
        add |= {str: writer.add_string, list: writer.add_array}
        add[type(value)](f"{kind}.{key}", value)

    pieces = [chr(33 + i) for i in range(93)] + ["\u010a", "\u0120", "ab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(pieces)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)

    def tensor(name, values):
        writer.add_tensor(name, values.astype(np.float32))

    def matrix(name, *shape, spread=1.5):
        tensor(f"{name}.weight", rng.normal(0.0, spread / np.sqrt(shape[-1]), shape))
        part = name.split(".")[-1]
        if part in biases:
            tensor(f"{name}.bias", rng.normal(0.0, 0.5, shape[:-1]))

    def norm(name, size, shift=layer and facts.get("shift", True)):
        tensor(f"{name}.weight", rng.uniform(0.4, 1.6, size))
        if shift:
            tensor(f"{name}.bias", rng.normal(0.0, 0.3, size))

    for table in facts.get("factors", []):
        tensor(f"{table}.weight", rng.uniform(0.5, 4.0, facts.get("rotary", head) // 2))
    matrix("token_embd", VOCABULARY, width, spread=np.sqrt(width))
    if facts.get("positions"):
        matrix("position_embd", CONTEXT, width, spread=np.sqrt(width))
    if facts.get("embedding_norm"):
        norm("token_embd_norm", width)
    for i in range(blocks):
        own = f"blk.{i}."
        for one in facts.get("norms", BEFORE):
            norm(own + one, width)
        widths = {"attn_q": heads * head, "attn_k": kv * head, "attn_v": kv * head}
        if facts.get("fused"):
            matrix(own + "attn_qkv", sum(widths.values()), width)
        else:
            for one, outputs in widths.items():
                matrix(own + one, outputs, width)
        for one in ["attn_q", "attn_k"] if facts.get("head_norms") else []:
            whole = facts["head_norms"] == "whole"
            norm(f"{own}{one}_norm", widths[one] if whole else head, shift=False)
        matrix(own + "attn_output", width, heads * head)
        feed = facts.get("feed", "gated")
        if feed == "experts":
            experts, shared = meta["expert_count"], facts.get("shared", 0)
            matrix(own + "ffn_gate_inp", experts, width)
            matrix(own + "ffn_gate_exps", experts, EXPERT, width)
            matrix(own + "ffn_up_exps", experts, EXPERT, width)
            matrix(own + "ffn_down_exps", experts, width, EXPERT)
            if shared:
                if not facts.get("ungated"):
                    matrix(own + "ffn_gate_inp_shexp", width)
                matrix(own + "ffn_gate_shexp", shared, width)
                matrix(own + "ffn_up_shexp", shared, width)
                matrix(own + "ffn_down_shexp", width, shared)
            continue
        if feed == "gated":
            matrix(own + "ffn_gate", HIDDEN, width)
        matrix(own + "ffn_up", 2 * HIDDEN if feed == "one" else HIDDEN, width)
        matrix(own + "ffn_down", width, HIDDEN)
    if not facts.get("bare"):
        norm("output_norm", width)
    # llama.cpp wants a head of its own of these.
    if not facts.get("tied", kind not in ("qwen2moe", "olmoe")):
        matrix("output", VOCABULARY, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def logits(path):
    single = llama_cpp.GGML_TYPE_F32
    model = llama_cpp.Llama(
        str(path),
        n_ctx=256,
        n_batch=256,
        n_threads=1,
        n_threads_batch=1,
        logits_all=True,
        type_k=single,
        type_v=single,
        flash_attn=False,
        verbose=False,
    )
    model.eval(TOKENS)
    return model.scores[: len(TOKENS)].astype(float)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or KINDS:
        path = folder / f"{name}.gguf"
        write(path, name)
        numbers = logits(path)
        record = {
            "source": f"llama-cpp-python {llama_cpp.__version__}, scripts/tiny_gguf.py {name}",
            "tokens": TOKENS,
            "logits": [[float(f"{number:.6g}") for number in row] for row in numbers],
        }
        path.with_suffix(".json").write_text(json.dumps(record, separators=(",", ":")) + "\n")
        spread = numbers.std()
        print(f"{name}: {path.stat().st_size} bytes, spread {spread:.3f}", numbers[-1][:4])


main()
