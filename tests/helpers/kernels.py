"""Results of all kernels."""

import hashlib
import random
from pathlib import Path

import numpy as np

from bert_tf2 import records
from bert_tf2.io.json_floats import rows_as_text
from bert_tf2.pretraining_data import full_sentences
from bert_tf2.pretraining_data.fast_instances import Corpus, Vocabulary, create_instances
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.records.shuffled import RecordSource
from bert_tf2.records.writer import BlockWriter
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from helpers.repository import GOLDEN, own_lines


def results(path: str) -> str:
    """A digest of the results of all kernels on our own text; writes a record file to `path`."""
    tokenizer = FastTokenizer(str(GOLDEN / "own/vocab_uncased.txt"))
    tokenizer.expect(10**9)
    lines = [line for line in own_lines()[:60] if line]
    tokens = tokenizer.encode_batch(lines)
    documents = np.arange(0, len(lines) + 1, 10)
    documents[-1] = len(lines)
    corpus, vocabulary = Corpus(tokens.values, tokens.row_splits, documents), Vocabulary.of(tokenizer.vocab)
    parameters = InstanceParameters(64, 10, dupe_factor=2, do_whole_word_mask=True)
    pairs = create_instances(corpus, vocabulary, parameters, random.Random(1))
    schema = records.pretraining(64, 10)
    with BlockWriter([path], schema) as writer:
        writer.write_rows(pairs.rows(schema))
    sentences = full_sentences.pack(corpus, vocabulary, parameters, random.Random(1))
    numbers = np.random.default_rng(1).normal(0, 3, (4, 9)).astype(np.float32)
    contents = [
        Path(path).read_bytes(),
        *RecordSource().records([path]),
        sentences.rows(records.pretraining(64, 10, next_sentence=False)).tobytes(),
        *rows_as_text(numbers),
        repr(tokenizer.encode(" ".join(lines))).encode(),
    ]
    return hashlib.sha256(b"|".join(contents)).hexdigest()
