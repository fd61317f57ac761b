"""Fine-tunes a classifier on a CSV file with the columns `text` and `label`, in plain Keras, and saves it.

python examples/classify_texts.py uncased_L-4_H-256_A-4 train.csv test.csv my_model

With a pandas data frame, pass its columns in place of the lists.
"""

import csv
import sys

import keras
import numpy as np

from bert_tf2 import BertClassifier, FullTokenizer


def read(path: str) -> tuple[list[str], list[str]]:
    """The texts and the labels of a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def main(
    checkpoint: str, train_file: str, test_file: str, output_dir: str, epochs: int = 3, rate: float = 3e-5
) -> float:
    """Trains, prints a confusion matrix, saves; returns the accuracy."""
    keras.utils.set_random_seed(1)
    (texts, names), (test_texts, test_names) = read(train_file), read(test_file)
    labels = sorted(set(names))
    ids, test_ids = (np.array([labels.index(name) for name in column]) for column in (names, test_names))

    tokenizer = FullTokenizer.from_pretrained(checkpoint)
    model = BertClassifier.from_pretrained(checkpoint, labels=labels)
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(tokenizer(texts, max_length=128), ids, batch_size=32, epochs=epochs)

    logits = model.predict(tokenizer(test_texts, max_length=128))
    predicted = logits.argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), int)
    np.add.at(confusion, (test_ids, predicted), 1)
    print("rows: label, columns: prediction", labels, confusion, sep="\n")
    model.save_pretrained(output_dir, tokenizer=tokenizer)  # format="huggingface" is for transformers
    return float(np.mean(predicted == test_ids))


if __name__ == "__main__":
    print("accuracy", main(*sys.argv[1:]))
