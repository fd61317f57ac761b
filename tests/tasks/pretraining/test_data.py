"""Pre-training records as batches: fixed shapes for XLA and TPUs, padding removed otherwise, packed rows."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from helpers.packable_examples import LENGTH, PREDICTIONS, sequences

from bert_tf2 import records
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.input_pipeline.record_batches import INPUT_POSITION, Share
from bert_tf2.input_pipeline.sequence_packing import row_features
from bert_tf2.tasks.pretraining.config import PretrainingConfig
from bert_tf2.tasks.pretraining.data import PretrainingData, explain_error


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "a.tfrecord"
    examples = sequences(np.random.default_rng(1), 90)
    schema = records.pretraining(LENGTH, PREDICTIONS)
    with records.RecordWriter([str(path)]) as writer:
        for index in range(90):
            writer.write(schema.encode({name: value[index] for name, value in examples.items()}))
    config = PretrainingConfig(
        bert_config_file="config",
        input_file=str(path),
        output_dir="out",
        max_seq_length=LENGTH,
        max_predictions_per_seq=PREDICTIONS,
        do_train=True,
        train_batch_size=8,
        eval_batch_size=8,
        num_warmup_steps=1,
    )
    return PretrainingData(config, [str(path)], None, fixed_shapes=True)


def shapes(dataset):
    return {name: tuple(spec.shape) for name, spec in dataset.element_spec.items()}


def test_fixed_shapes_are_static(data):
    for dataset in (data.training(0, Share()), data.evaluation(None, Share()), data.training(0, Share(0, 2, 2))):
        assert all(None not in shape for shape in shapes(dataset).values())
    assert shapes(data.training(0, Share()))["input_ids"] == (8, LENGTH)
    assert shapes(data.training(0, Share(0, 2, 2)))["input_ids"] == (2, LENGTH)


def test_otherwise_columns_of_padding_are_removed(data):
    trimmed = dataclasses.replace(data, fixed_shapes=False)
    assert shapes(trimmed.training(0, Share()))["input_ids"] == (8, None)
    lengths = {batch["input_ids"].shape[1] for batch in trimmed.evaluation(None, Share()).take(5)}
    assert lengths <= {8, 16, 24}


def test_rows_that_fill_up_the_last_batch_have_weight_0(data):
    *_, last = data.evaluation(None, Share())
    assert last["example_weights"].numpy().tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    assert last["masked_lm_weights"].numpy()[2:].sum() == 0


@pytest.mark.parametrize(("workers", "devices"), [(1, 3), (3, 1), (1, 16)])
def test_no_row_is_lost_if_the_evaluation_batch_does_not_divide_by_the_devices(data, workers, devices):
    shares = [Share(worker, workers, devices) for worker in range(workers)]
    pieces = [piece for share in shares for piece in data.evaluation(None, share)]
    assert sum(piece["example_weights"].numpy().sum() for piece in pieces) == 90
    assert len({len(piece["input_ids"]) for piece in pieces}) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_ids_beyond_the_vocabulary_of_the_model_are_an_error(data, packed):
    """The gathers of XLA and of GPUs accept them."""
    config = dataclasses.replace(data.config, pack_sequences=packed)
    limited = dataclasses.replace(data, config=config, vocab_size=5)
    for dataset in (limited.training(0, Share()), limited.evaluation(None, Share())):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            next(iter(dataset))
        assert "piece ids must be below vocab_size=5" in str(explain_error(caught.value, BertConfig(5)))


def test_packed_rows_have_fixed_shapes(data):
    packed = dataclasses.replace(data, config=dataclasses.replace(data.config, pack_sequences=True))
    expected = {name: (8, *feature.shape) for name, feature in row_features(LENGTH, PREDICTIONS, True).items()}
    assert shapes(packed.training(0, Share())) == {**expected, INPUT_POSITION: (8,)}


def test_packing_needs_rows(data):
    with pytest.raises(InputError, match="--pack_sequences needs --shard_input=rows"):
        dataclasses.replace(data.config, pack_sequences=True, shard_input="files")


def test_with_input_sharded_by_files_a_worker_reads_its_own(data, tmp_path):
    """Each of two workers has the records of one file; sharded by rows, it has some of both."""
    values = {name: value[0] for name, value in sequences(np.random.default_rng(1), 1).items()}
    paths = [str(tmp_path / name) for name in "ab"]
    for number, path in enumerate(paths):
        with records.RecordWriter([path]) as writer:
            for _ in range(8):
                writer.write(data.schema.encode({**values, "next_sentence_labels": [number]}))

    def files_of_workers(**flags):
        sharded = dataclasses.replace(data, config=dataclasses.replace(data.config, **flags), paths=paths)
        batches = [sharded.training(0, Share(worker, 2)).take(4) for worker in (0, 1)]
        return [{int(label) for batch in of for label in batch["next_sentence_labels"].numpy()[:, 0]} for of in batches]

    assert sorted(files_of_workers(shard_input="files"), key=min) == [{0}, {1}]
    assert files_of_workers() == [{0, 1}, {0, 1}]
