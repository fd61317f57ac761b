"""What PyTorch transformers makes and computes, in a process of its own: PyTorch and TensorFlow in one can crash.

    python tests/transformers_process.py jobs.json

A job has an architecture, a directory, a batch and outputs, both npz files, and computes; with "make", the settings of
a random model, it saves that in the directory before. A job with a tokenizer's directory cuts texts.
"""

import json
import sys

import numpy as np
import torch
import transformers


def make(architecture, folder, settings):
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(transformers.BertConfig(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) / 3)
    model.save_pretrained(folder)


def compute(architecture, folder, batch, outputs):
    model, info = getattr(transformers, architecture).from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"], info
    unexpected = set(info["unexpected_keys"]) - {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert not unexpected, info
    ids, mask, segments = (torch.tensor(part) for part in np.load(batch).values())
    if architecture == "BertForMultipleChoice":  # all rows are choices of one question
        ids, mask, segments = (part[None] for part in (ids, mask, segments))
    with torch.no_grad():
        found = model.eval()(input_ids=ids, attention_mask=mask, token_type_ids=segments)
    np.savez(outputs, **{name: value.numpy() for name, value in found.items() if torch.is_tensor(value)})


def tokenize(folder, texts, outputs):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    found = {
        "tokens": [tokenizer.tokenize(text) for text in texts],
        "ids": tokenizer(texts[0])["input_ids"],
        "mask": tokenizer.mask_token,
        "pad": tokenizer.pad_token_id,
        "longest": tokenizer.model_max_length,
    }
    with open(outputs, "w", encoding="utf-8") as file:
        json.dump(found, file)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        jobs = json.load(file)
    for job in jobs:
        if "tokenizer" in job:
            tokenize(job["tokenizer"], job["texts"], job["outputs"])
            continue
        if "make" in job:
            make(job["architecture"], job["folder"], job["make"])
        compute(job["architecture"], job["folder"], job["batch"], job["outputs"])


if __name__ == "__main__":
    main()
