#!/usr/bin/env python3
"""What transformers makes of some sentences with a published encoder, as sentence-transformers does: the mean of the rows of
all tokens, divided by its length.

    pip install torch==2.15.0 transformers==5.24.0
    scripts/fetch_models.sh FOLDER
    python3 scripts/sentence_embeddings.py FOLDER/all-minilm-l6-v2 core/tests/fixtures/encoders/all-minilm-l6-v2.json
"""
import json
import pathlib
import sys

import torch
from transformers import AutoModel, AutoTokenizer

SENTENCES = [
    "A man is eating food.",
    "Call me Ishmael. Some years ago - never mind how long precisely - I went to sea.",
    "Quantisation makes a network smaller; does it also make it worse?",
    "Größe, café and naïve: accents are left out, 日本語 is cut sign by sign.",
    "supercalifragilisticexpialidocious 3.14159 (e.g. #hashtags & @mentions)",
]

folder = pathlib.Path(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
record = []
for text in SENTENCES:
    tokens = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        rows = model(**tokens).last_hidden_state[0]
    embedding = torch.nn.functional.normalize(rows.mean(0), dim=0)
    record.append({"text": text, "tokens": tokens["input_ids"][0].tolist(),
                   "embedding": [round(value, 7) for value in embedding.tolist()]})
pathlib.Path(sys.argv[2]).write_text(json.dumps(record, separators=(",", ":")) + "\n")
