"""Vectors of a frozen encoder as features for scikit-learn: trained in seconds, without a GPU.

python examples/frozen_features.py uncased_L-4_H-256_A-4 train.csv test.csv

The CSV files have the columns `text` and `label`.
"""

import csv
import sys

import numpy as np
from sklearn.linear_model import LogisticRegression

from bert_tf2 import BertModel, FullTokenizer


def read(path: str) -> tuple[list[str], list[str]]:
    """The texts and the labels of a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def vectors(encoder: BertModel, tokenizer: FullTokenizer, texts: list[str]) -> np.ndarray:
    """The mean of the last layer over the tokens of each text: float32 [texts, hidden_size]."""
    batch = tokenizer(texts, max_length=128)
    mask = batch["input_mask"][:, :, None]
    return (encoder.predict(batch).sequence_output * mask).sum(axis=1) / mask.sum(axis=1)


def main(checkpoint: str, train_file: str, test_file: str) -> float:
    """Fits a logistic regression; returns its accuracy."""
    tokenizer, encoder = FullTokenizer.from_pretrained(checkpoint), BertModel.from_pretrained(checkpoint)
    encoder.trainable = False  # within a larger Keras model, too, its weights would not change
    (texts, labels), (test_texts, test_labels) = read(train_file), read(test_file)
    classifier = LogisticRegression(max_iter=1000).fit(vectors(encoder, tokenizer, texts), labels)
    return float(classifier.score(vectors(encoder, tokenizer, test_texts), test_labels))


if __name__ == "__main__":
    print("accuracy", main(*sys.argv[1:]))
