#!/usr/bin/env python3
"""Small recurrent language models made with PyTorch, and the numbers that they answer with.

    pip install torch==2.15.0 safetensors==0.8.0
    python3 scripts/tiny_recurrent.py core/tests/fixtures/recurrent

One safetensors file for each, named as PyTorch names its tensors, and one JSON with tokens and logits.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file

out = pathlib.Path(sys.argv[1])
out.mkdir(exist_ok=True)
torch.manual_seed(13)
VOCABULARY, TEXTS, LENGTH = 11, 2, 9
cases = {}


class Model(torch.nn.Module):
    def __init__(self, names, kind, width, units, layers):
        super().__init__()
        self.names = names
        table, steps, head = names
        setattr(self, table, torch.nn.Embedding(VOCABULARY, width))
        setattr(self, steps, kind(width, units, layers, batch_first=True))
        setattr(self, head, torch.nn.Linear(units, VOCABULARY))

    def forward(self, tokens):
        table, steps, head = (getattr(self, name) for name in self.names)
        return head(steps(table(tokens))[0])


for case, names, kind, width, units, layers in [
    ("lstm", ("embedding", "lstm", "fc"), torch.nn.LSTM, 6, 5, 2),
    # Of equal shapes the table is known by its name, as in PyTorch's example of a word language model.
    ("gru", ("encoder", "rnn", "decoder"), torch.nn.GRU, 7, 7, 1),
]:
    model = Model(names, kind, width, units, layers).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, out / f"{case}.safetensors")
    (out / f"{case}.safetensors").chmod(0o644)
    tokens = torch.randint(0, VOCABULARY, (TEXTS, LENGTH))
    with torch.no_grad():
        logits = model(tokens)
    cases[case] = {"tokens": tokens.tolist(), "logits": [float(f"{value:.7g}") for value in logits.flatten().tolist()]}

(out / "recurrent.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
