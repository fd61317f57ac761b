"""A functional Keras model with a custom head on the encoder: how similar are two texts, from 0 to 1?

python examples/own_head.py uncased_L-4_H-256_A-4 pairs.csv my_model.keras

The CSV file has the columns `first`, `second` and `score`.
"""

import csv
import sys

import keras
import numpy as np

from bert_tf2 import BertModel, FullTokenizer


def make_model(checkpoint: str) -> keras.Model:
    """The mean of the tokens' vectors, dropout, a hidden layer, and a score."""
    names = ("input_ids", "input_mask", "segment_ids")
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in names}
    encoder = BertModel.from_pretrained(checkpoint)
    encoder.pooler.trainable = False  # unused here; Keras would warn that it has no gradients
    vectors = encoder(inputs).sequence_output  # [B, S, H]
    mean = keras.layers.GlobalAveragePooling1D()(vectors, mask=inputs["input_mask"])  # [B, H]
    hidden = keras.layers.Dense(32, "relu")(keras.layers.Dropout(0.1)(mean))
    score = keras.layers.Dense(1, "sigmoid", dtype="float32")(hidden)
    return keras.Model(inputs, score)


def main(checkpoint: str, pairs_file: str, output_file: str, epochs: int = 3, rate: float = 3e-5) -> np.ndarray:
    """Trains and saves; returns the outputs of the reloaded model for the pairs."""
    keras.utils.set_random_seed(1)
    with open(pairs_file, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    tokenizer = FullTokenizer.from_pretrained(checkpoint)
    batch = tokenizer([row["first"] for row in rows], [row["second"] for row in rows], max_length=128)
    scores = np.array([float(row["score"]) for row in rows])

    model = make_model(checkpoint)
    model.summary()
    model.compile(keras.optimizers.AdamW(rate), "mean_squared_error")
    model.fit(batch, scores, batch_size=32, epochs=epochs)
    model.save(output_file)
    return keras.models.load_model(output_file).predict(batch)[:, 0]


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
