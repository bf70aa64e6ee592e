#!/usr/bin/env python3
"""Tiny encoders of sentences with random weights, and what transformers and llama.cpp make of some sentences.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers==0.23.3
    python3 scripts/tiny_encoders.py folders core/tests/fixtures/encoders
    pip install gguf==0.19.0 numpy llama-cpp-python==0.3.36
    python3 scripts/tiny_encoders.py gguf core/tests/fixtures/encoders

One folder for each kind: config.json, model.safetensors, tokenizer.json or vocab.txt, and embeddings.json with sentences,
their tokens, the rows of the last layer of the first one, and the embedding of each as the folder says, all in single
precision from the saved folder. BERT has the mean of the tokens, RoBERTa the row of the first, rows of positions that are
never used and one kind of texts, DistilBERT a list of pieces only and names of its own. bert.gguf holds the weights of the
BERT folder, bert.json llama.cpp's embeddings of the same sentences.
"""
import json
import pathlib
import string
import sys

SENTENCES = ["The cat sat on the mat.", "Where's the dog, and why?", "zebra"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = (SPECIAL + list(string.ascii_lowercase) + ["##" + sign for sign in string.ascii_lowercase]
          + list(".,;:!?'-\"()") + ["the", "and", "cat", "##at", "##og", "w", "##here", "on"])
PIECES = list(dict.fromkeys(PIECES))
SIZES = dict(vocab_size=len(PIECES) + 3, max_position_embeddings=48, initializer_range=0.2, pad_token_id=0)
WIDE = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40)


def tokenizer():
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    made.add_special_tokens(SPECIAL)
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def make(folder, config, first, listed):
    import torch
    from transformers import AutoModel

    torch.manual_seed(14)
    model = AutoModel.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name.endswith("bias"):
                values.normal_(0.0, 0.3)
            elif "norm" in name.lower():
                values.uniform_(0.5, 1.5)
    model.to(torch.float16).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    made = tokenizer()
    if listed:
        (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    else:
        made.save(str(folder / "tokenizer.json"), pretty=False)
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({
            "word_embedding_dimension": config.hidden_size, "pooling_mode_cls_token": first,
            "pooling_mode_mean_tokens": not first, "pooling_mode_max_tokens": False}, indent=2) + "\n")
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    record = []
    for text in SENTENCES:
        tokens = made.encode(text).ids
        with torch.no_grad():
            rows = model(torch.tensor([tokens])).last_hidden_state[0]
        pooled = rows[0] if first else rows.mean(0)
        digits = lambda row: [round(value, 6) for value in row]
        record.append({"text": text, "tokens": tokens, "embedding": digits(pooled.tolist())})
        if text == SENTENCES[0]:
            record[0]["rows"] = [digits(row) for row in rows.tolist()]
    (folder / "embeddings.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")
    print(folder.name, [len(sentence["tokens"]) for sentence in record])


def folders(out):
    from transformers import BertConfig, DistilBertConfig, RobertaConfig

    make(out / "bert", BertConfig(**SIZES, **WIDE), False, False)
    make(out / "roberta", RobertaConfig(**{**SIZES, **WIDE, "pad_token_id": 1, "type_vocab_size": 1,
                                           "layer_norm_eps": 1e-5}), True, False)
    make(out / "distilbert", DistilBertConfig(**SIZES, dim=32, n_layers=2, n_heads=4, hidden_dim=40), False, True)


def as_gguf(name):
    for old, new in [
        ("embeddings.word_embeddings", "token_embd"), ("embeddings.position_embeddings", "position_embd"),
        ("embeddings.token_type_embeddings", "token_types"), ("embeddings.LayerNorm", "token_embd_norm"),
        ("encoder.layer.", "blk."), ("attention.self.query", "attn_q"), ("attention.self.key", "attn_k"),
        ("attention.self.value", "attn_v"), ("attention.output.dense", "attn_output"),
        ("attention.output.LayerNorm", "attn_output_norm"), ("intermediate.dense", "ffn_up"),
        ("output.dense", "ffn_down"), ("output.LayerNorm", "layer_output_norm"),
    ]:
        name = name.replace(old, new)
    return name


def tensors(path):
    """Names and values of a file whose values are all in half precision."""
    import numpy as np

    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    for name, said in json.loads(data[8:8 + length]).items():
        if name != "__metadata__":
            first, last = said["data_offsets"]
            values = np.frombuffer(data[8 + length + first:8 + length + last], np.float16)
            yield name, values.reshape(said["shape"])


def gguf_of(out):
    import gguf
    import llama_cpp
    import numpy as np

    config = json.loads((out / "bert" / "config.json").read_text())
    path = out / "bert.gguf"
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    pieces = PIECES + [f"[unused{i}]" for i in range(config["vocab_size"] - len(PIECES))]
    special = lambda piece: piece.startswith("[") and piece.endswith("]")
    writer.add_token_list([piece if special(piece) else piece[2:] if piece.startswith("##") else "\u2581" + piece
                           for piece in pieces])
    writer.add_token_types([gguf.TokenType.CONTROL if special(piece) else gguf.TokenType.NORMAL for piece in pieces])
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_pad_token_id(0)
    writer.add_mask_token_id(4)
    for name, values in tensors(out / "bert" / "model.safetensors"):
        if name.startswith("pooler"):
            continue
        small = len(values.shape) == 1 or "position" in name or "token_type" in name
        writer.add_tensor(as_gguf(name), values.astype(np.float32 if small else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = llama_cpp.Llama(str(path), embedding=True, n_threads=1, verbose=False, n_ctx=48)
    record = []
    for text in SENTENCES:
        tokens = model.tokenize(text.encode(), add_bos=True)
        embedding = model.embed(text, normalize=False)
        record.append({"text": text, "tokens": tokens, "embedding": [round(value, 6) for value in embedding]})
    (out / "bert.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")
    print("bert.gguf", [len(sentence["tokens"]) for sentence in record])


if __name__ == "__main__":
    {"folders": folders, "gguf": gguf_of}[sys.argv[1]](pathlib.Path(sys.argv[2]))
