"""Runs PyTorch transformers in its own process, as PyTorch and TensorFlow in the same process can crash.

    python tests/helpers/transformers_process.py jobs.json

A job has an architecture, a directory with a model, and npz files for the batch and the outputs that it computes. With
"make", the settings of a random model, it first saves such a model there. A job with a tokenizer tokenizes texts.
"""

import json
import sys

import numpy as np
import torch
import transformers


def make(architecture, directory, settings):
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(transformers.BertConfig(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) / 3)
    model.save_pretrained(directory)


def compute(architecture, directory, batch, outputs):
    model, info = getattr(transformers, architecture).from_pretrained(directory, output_loading_info=True)
    assert not info["missing_keys"], info
    unexpected = set(info["unexpected_keys"]) - {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert not unexpected, info
    ids, mask, segments = (torch.tensor(part) for part in np.load(batch).values())
    if architecture == "BertForMultipleChoice":  # all rows are choices of one question
        ids, mask, segments = (part[None] for part in (ids, mask, segments))
    with torch.no_grad():
        result = model.eval()(input_ids=ids, attention_mask=mask, token_type_ids=segments)
    np.savez(outputs, **{name: value.numpy() for name, value in result.items() if torch.is_tensor(value)})


def tokenize(directory, texts, outputs):
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    result = {
        "tokens": [tokenizer.tokenize(text) for text in texts],
        "ids": tokenizer(texts[0])["input_ids"],
        "mask": tokenizer.mask_token,
        "pad": tokenizer.pad_token_id,
        "longest": tokenizer.model_max_length,
    }
    with open(outputs, "w", encoding="utf-8") as file:
        json.dump(result, file)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        jobs = json.load(file)
    for job in jobs:
        if "tokenizer" in job:
            tokenize(job["tokenizer"], job["texts"], job["outputs"])
            continue
        if "make" in job:
            make(job["architecture"], job["directory"], job["make"])
        compute(job["architecture"], job["directory"], job["batch"], job["outputs"])


if __name__ == "__main__":
    main()
