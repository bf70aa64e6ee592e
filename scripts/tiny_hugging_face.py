#!/usr/bin/env python3
"""Tiny language models with random weights as transformers saves them, and the logits that it computes of a text.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers==0.23.3
    python3 scripts/tiny_hugging_face.py core/tests/fixtures/language

One folder for each kind: config.json, model.safetensors, tokenizer.json, and logits.json with a text, its tokens and the
logits of every token, computed in single precision from the saved folder. Llama has grouped queries and the angles of
Llama 3, in the spelling of older files; Qwen 2 a tied head, biases and more outputs than there are pieces; Qwen 3 heads of
a width of their own; Mistral a window that is shorter than the text. The other kinds have the tokenizer of Qwen 3.
"""
import json
import pathlib
import string
import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (AutoConfig, AutoModelForCausalLM, LlamaConfig, MistralConfig,
                          Qwen2Config, Qwen3Config)

TEXT = "The angles of a head turn with the place."
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
SIZES = dict(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, intermediate_size=40, max_position_embeddings=128,
             initializer_range=0.2, bos_token_id=0, eos_token_id=1)


def tokenizer(pieces, begin):
    """Letters, signs and a few pairs of them; other bytes are one unknown piece."""
    pairs = [("t", "h"), ("Ġ", "a"), ("h", "e"), ("l", "e"), ("Ġ", "t")]
    names = ["<s>", "</s>", "<unk>", "Ġ", "Ċ"] + ["".join(pair) for pair in pairs]
    names += list(string.ascii_letters + string.digits + ".,;:!?'-" + "\"()_/&*[]+=<>@#$%{|}~^`\\")
    names = names[:pieces]
    made = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, pairs, unk_token="<unk>"))
    made.add_special_tokens(["<s>", "</s>", "<unk>"])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if begin:
        made.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 0)])
    return made


def make(folder, config, dtype, pieces, begin, older=False, own=True):
    torch.manual_seed(12)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name.endswith("bias"):
                values.normal_(0.0, 0.3)
            elif "norm" in name or "ln_" in name or ".ln" in name:
                # Gemma's are added to 1.
                values.uniform_(*((-0.5, 0.5) if "gemma" in folder.name else (0.5, 1.5)))
    model.to(dtype).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod(0o644)
    if older:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        parameters = config.pop("rope_parameters")
        config["rope_theta"] = parameters.pop("rope_theta")
        config["rope_scaling"] = parameters
        config["torch_dtype"] = config.pop("dtype")
        path.write_text(json.dumps(config, indent=2) + "\n")
    made = tokenizer(pieces, begin)
    if own:
        made.save(str(folder / "tokenizer.json"), pretty=False)
    tokens = made.encode(TEXT).ids
    # By the other way transformers 5.24 adds Falcon's linear biases twice.
    way = "sdpa" if getattr(config, "alibi", False) else "eager"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=way).eval()
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0]
    rows = [[round(value, 5) for value in row] for row in logits.tolist()]
    (folder / "logits.json").write_text(
        json.dumps({"text": TEXT, "tokens": tokens, "logits": rows}, separators=(",", ":")) + "\n")
    print(folder.name, len(tokens), made.get_vocab_size(), float(logits.std()))


out = pathlib.Path(sys.argv[1])
make(out / "llama", LlamaConfig(**SIZES, rope_parameters={"rope_theta": 10000.0, **LLAMA3}),
     torch.bfloat16, 96, True, older=True)
make(out / "qwen2", Qwen2Config(**SIZES, rope_parameters={"rope_theta": 1000000.0, "rope_type": "default"},
                                tie_word_embeddings=True), torch.float16, 90, False)
make(out / "qwen3", Qwen3Config(**SIZES, head_dim=16), torch.bfloat16, 96, False)
make(out / "mistral", MistralConfig(**SIZES, sliding_window=5), torch.float16, 96, True)

# What the other kinds have beside the usual sizes, or in place of them.
WINDOWED = ["sliding_attention", "full_attention"]
EXPERTS = dict(num_experts=4, num_experts_per_tok=2)
GPT = dict(vocab_size=96, n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.2)
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.5, 2.0, 3.0], "long_factor": [4.0] * 4}
FALCON = {"ffn_hidden_size": 72, "initializer_range": 0.2}
# Folders that are not called as their kind.
OTHER_NAMES = {"yarn": "llama", "dynamic": "llama", "linear": "llama"}
OTHERWISE = ["num_key_value_heads", "intermediate_size"]
LIKE_GPT = ("gpt2", "gptj", "gpt_bigcode", "mpt")
KINDS = {
    "gemma": dict(head_dim=12, num_key_value_heads=1),
    "gemma2": dict(head_dim=12, query_pre_attn_scalar=20, sliding_window=5, layer_types=WINDOWED,
                   attn_logit_softcapping=5.0, final_logit_softcapping=8.0),
    "gemma3_text": dict(head_dim=12, query_pre_attn_scalar=20, sliding_window=5, layer_types=WINDOWED, rope_parameters={
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}),
    "phi3": dict(sliding_window=5, original_max_position_embeddings=64, rope_parameters=LONG, pad_token_id=None),
    "olmo2": {},
    "granite": dict(embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.5, attention_multiplier=0.2),
    "stablelm": dict(use_qkv_bias=True, rope_parameters={
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25}),
    "gpt2": dict(n_inner=72),
    "starcoder2": dict(sliding_window=5),
    "gpt_neox": dict(num_key_value_heads=None),
    "gptj": dict(rotary_dim=4, tie_word_embeddings=False),
    "falcon": dict(FALCON, multi_query=True, alibi=False),
    "falcon-new": dict(FALCON, num_kv_heads=2, new_decoder_architecture=True),
    "falcon-rw": dict(FALCON, multi_query=False, parallel_attn=False, bias=True, alibi=True, num_attention_heads=6,
                      hidden_size=24),
    "gpt_bigcode": {},
    "gpt_bigcode-heads": dict(multi_query=False),
    "olmo": {},
    "cohere": dict(logit_scale=0.5),
    "bloom": dict(n_head=6, hidden_size=24, n_layer=2, seq_length=128),
    "mpt": dict(d_model=24, n_heads=6, n_layers=2, max_seq_len=128, attn_config=dict(softmax_scale=0.3)),
    "yarn": dict(rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 4.0,
                                  "original_max_position_embeddings": 32}),
    "dynamic": dict(rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}),
    "linear": dict(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}),
    "smollm3": dict(no_rope_layers=[1, 0], no_rope_layer_interval=2, pad_token_id=None),
    "phi": dict(num_key_value_heads=4),
    "mixtral": dict(num_local_experts=4, num_experts_per_tok=2, intermediate_size=12),
    "qwen2_moe": dict(EXPERTS, moe_intermediate_size=12, shared_expert_intermediate_size=10),
    "qwen3_moe": dict(EXPERTS, moe_intermediate_size=12, norm_topk_prob=True, head_dim=12),
    "olmoe": dict(EXPERTS, intermediate_size=12),
}
for kind, more in KINDS.items():
    if sys.argv[2:] and kind not in sys.argv[2:]:
        continue
    name = OTHER_NAMES.get(kind, kind.split("-")[0])
    sizes = {**(GPT if name in LIKE_GPT else SIZES), **more}
    # What these say by other names.
    other = {"mpt": list(GPT)[1:5], "falcon": OTHERWISE, "bloom": OTHERWISE}.get(name, [])
    sizes = {key: value for key, value in sizes.items() if key not in other}
    config = AutoConfig.for_model(name, **sizes)
    make(out / kind, config, torch.bfloat16 if "gemma" in kind else torch.float16, 96, False, own=False)
