"""The output: the original's JSON Lines, every format and pooling, combined layers, words."""

import logging
import re

import numpy as np
import pytest
from helpers.repository import GOLDEN
from helpers.rounding import assert_close, forward
from helpers.tiny_features import LINES, config, expected, read_json
from helpers.tiny_huggingface import H

from bert_tf2.tasks.feature_extraction import runner
from bert_tf2.tasks.feature_extraction.config import FORMATS, FeatureConfig
from bert_tf2.tasks.feature_extraction.runner import run

pytestmark = pytest.mark.numeric


def test_golden_features(tmp_path):
    """The same tokens and keys as the original's; the numbers as close as float32's rounding allows."""
    run(
        FeatureConfig(
            input_file=str(GOLDEN / "features/input.txt"),
            output_file=str(tmp_path / "out.jsonl"),
            init_checkpoint=str(GOLDEN / "tiny/bert_model.ckpt"),
            layers="-1,-2",
            max_seq_length=24,
        )
    )
    actual, expected_values = (
        (path / name).read_text() for path, name in ((tmp_path, "out.jsonl"), (GOLDEN, "features/output.jsonl"))
    )
    pattern = r"-?\d+\.\d+(?:e-\d+)?"
    assert re.sub(pattern, "x", actual) == re.sub(pattern, "x", expected_values)
    numbers = [np.array(re.findall(pattern, content), float) for content in (actual, expected_values)]
    # Both files have six decimals.
    assert_close(*numbers, forward(3))
    assert len(numbers[0]) > 20_000
    assert max(len(number.partition(".")[2]) for number in re.findall(r"-?\d+\.\d+(?=[,\]])", actual)) == 6


@pytest.mark.usefixtures("small_blocks")
def test_json(model, text, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert run(config(model, text, tmp_path / "out")) == len(LINES)
    assert caplog.messages[-1] == f"Wrote {tmp_path / 'out'}: the vectors of {len(LINES)} lines."
    for number, (line, (tokens, vectors, _)) in enumerate(
        zip(read_json(tmp_path / "out"), expected(model), strict=True)
    ):
        assert list(line) == ["linex_index", "features"]
        assert line["linex_index"] == number
        assert [feature["token"] for feature in line["features"]] == tokens
        assert [[layer["index"] for layer in feature["layers"]] for feature in line["features"]] == [[-1, 0]] * len(
            tokens
        )
        values = [[layer["values"] for layer in feature["layers"]] for feature in line["features"]]
        assert_close(np.reshape(values, vectors.shape), vectors, forward(2))
    assert [path.name for path in tmp_path.iterdir() if "unfinished" in path.name] == []


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("pooling", "output_format"),
    [*(("mean", name) for name in FORMATS), ("max", "npy"), ("cls", "json"), ("pooler", "npz")],
)
def test_vectors_of_lines(model, text, tmp_path, pooling, output_format):
    layers = {"layers": None} if pooling == "pooler" else {}
    out = tmp_path / "out"
    run(config(model, text, out, pooling=pooling, output_format=output_format, **layers))
    if output_format == "json":
        rows = read_json(out)
        assert [list(row) for row in rows] == [["linex_index", "values"]] * len(LINES)
        assert [row["linex_index"] for row in rows] == list(range(len(LINES)))
        actual = np.array([row["values"] for row in rows])
    elif output_format == "parquet":
        table = pytest.importorskip("pyarrow.parquet").read_table(out)
        assert table.schema.names == ["linex_index", "values"]
        assert table["linex_index"].to_pylist() == list(range(len(LINES)))
        actual = np.array(table["values"].to_pylist())
    else:
        content = np.load(out)
        actual = content if output_format == "npy" else content["values"]
        assert actual.dtype == np.float32
        if output_format == "npz":
            assert content["layers"].tolist() == ([] if pooling == "pooler" else [-1, 0])
    pool = {
        "mean": lambda vectors, _: vectors.mean(0),
        "max": lambda vectors, _: vectors.max(0),
        "cls": lambda vectors, _: vectors[0],
        "pooler": lambda _, pooled: pooled,
    }[pooling]
    expected_values = [pool(vectors, pooled) for _, vectors, pooled in expected(model)]
    assert_close(actual, expected_values, forward(2))


@pytest.mark.usefixtures("small_blocks")
def test_vectors_of_tokens_as_npz(model, text, tmp_path):
    run(config(model, text, tmp_path / "out.npz", output_format="npz"))
    actual = np.load(tmp_path / "out.npz")
    assert sorted(actual) == ["input_ids", "layers", "pieces", "row_splits", "values"]
    assert actual["layers"].tolist() == [-1, 0]
    splits = actual["row_splits"]
    assert splits.dtype == np.int64
    assert splits[-1] == len(actual["values"]) == len(actual["input_ids"])
    for row, (tokens, vectors, _) in enumerate(expected(model)):
        span = slice(splits[row], splits[row + 1])
        assert actual["pieces"][actual["input_ids"][span]].tolist() == tokens
        assert_close(actual["values"][span], vectors, forward(2))


@pytest.mark.usefixtures("small_blocks")
def test_vectors_of_tokens_as_parquet(model, text, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run(config(model, text, tmp_path / "out", output_format="parquet"))
    assert parquet.ParquetFile(tmp_path / "out").num_row_groups > 2
    table = parquet.read_table(tmp_path / "out")
    assert table.schema.names == ["linex_index", "tokens", "values"]
    assert table.schema.metadata[b"layers"] == b"-1,0"
    for number, (row, (tokens, vectors, _)) in enumerate(zip(table.to_pylist(), expected(model), strict=True)):
        assert row["linex_index"] == number
        assert row["tokens"] == tokens
        assert_close(np.reshape(row["values"], vectors.shape), vectors, forward(2))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("combine", "pooling", "output_format"),
    [("sum", "none", "json"), ("mean", "none", "npz"), ("sum", "max", "parquet")],
)
def test_combined_layers(model, text, tmp_path, combine, pooling, output_format):
    """The sum or mean of layers, pooled or not, divided by its length."""
    out = tmp_path / "out"
    options = {"combine": combine, "pooling": pooling, "output_format": output_format}
    run(config(model, text, out, **options, normalize=True))
    if output_format == "json":
        features = [feature for line in read_json(out) for feature in line["features"]]
        assert {tuple(feature) for feature in features} == {("token", "values")}
        actual = np.array([feature["values"] for feature in features])
    elif output_format == "npz":
        content = np.load(out)
        assert content["combine"] == combine
        actual = content["values"]
    else:
        table = pytest.importorskip("pyarrow.parquet").read_table(out)
        assert table.schema.metadata[b"combine"] == combine.encode()
        actual = np.array(table["values"].to_pylist())
    rows = []
    for _, vectors, _ in expected(model):
        layers = vectors.reshape(-1, 2, H)
        combined = layers.sum(1) if combine == "sum" else layers.mean(1)
        rows.append(combined if pooling == "none" else combined.max(0, keepdims=True))
    expected_values = np.concatenate(rows)
    assert_close(actual, expected_values / np.linalg.norm(expected_values, axis=1, keepdims=True), forward(2))


@pytest.mark.usefixtures("small_blocks")
def test_vectors_of_words(model, text, tmp_path):
    """The mean of a word's pieces that fit into its line; the same in every format."""
    for name in ("json", "npz", "parquet"):
        run(config(model, text, tmp_path / name, output_format=name, unit="word"))
    lines = read_json(tmp_path / "json")
    arrays = np.load(tmp_path / "npz")
    assert sorted(arrays) == ["layers", "offsets", "row_splits", "values"]
    table = pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "parquet").to_pylist()
    for row, (line, (tokens, vectors, _)) in enumerate(zip(LINES, expected(model), strict=True)):
        words = line.replace("|||", "").split()[:7]  # what fits
        span = slice(*arrays["row_splits"][row : row + 2])
        assert [line[begin:end] for begin, end in arrays["offsets"][span]] == words[: span.stop - span.start]
        assert [feature["token"] for feature in lines[row]["features"]] == words[: span.stop - span.start]
        assert table[row]["tokens"] == words[: span.stop - span.start]
        positions = [position for position, token in enumerate(tokens) if token not in ("[CLS]", "[SEP]")]
        groups = []
        for position in positions:
            groups[-1].append(position) if tokens[position].startswith("##") else groups.append([position])
        assert len(groups) == span.stop - span.start
        if not groups:
            continue
        expected_values = np.stack([vectors[group].mean(0) for group in groups])
        assert_close(arrays["values"][span], expected_values, forward(2))
        np.testing.assert_array_equal(table[row]["values"], arrays["values"][span])
        values = [[layer["values"] for layer in feature["layers"]] for feature in lines[row]["features"]]
        assert_close(np.reshape(values, expected_values.shape), expected_values, forward(2))


@pytest.mark.parametrize(
    ("changes", "layers", "description"),
    [
        ({}, (-1, -2, -3, -4), "4 numbers for each token: layers -1,-2,-3,-4, 1 each."),
        ({"pooling": "mean"}, (-1,), "4 numbers for each line: layer -1, the mean over its tokens."),
        ({"pooling": "pooler", "normalize": True}, (), "4 numbers for each line: the pooler's output, divided by its"),
        ({"unit": "word"}, (-1,), "4 numbers for each word: layer -1."),
        ({"pooling": "cls", "layers": "0,-2"}, (0, -2), "4 numbers for each line: layers 0,-2, 2 each, at its first"),
        ({"combine": "sum"}, (-1, -2, -3, -4), "4 numbers for each token: the sum of layers -1,-2,-3,-4."),
    ],
)
def test_default_layers_and_the_description_of_vectors(changes, layers, description):
    """Without pooling, the default layers are those of the original, which its JSON lists; otherwise the last one."""
    feature_config = FeatureConfig(input_file="i", output_file="o", init_checkpoint="c", **changes)
    assert feature_config.layer_numbers == layers
    assert runner._describe_vectors(feature_config, 4).startswith(f"A vector of {description}")


@pytest.mark.parametrize("output_format", ["json", "npz", "parquet"])
def test_no_lines(model, tmp_path, output_format):
    (tmp_path / "empty").write_text("")
    run(config(model, tmp_path / "empty", tmp_path / "out", output_format=output_format))
    if output_format == "json":
        assert (tmp_path / "out").read_bytes() == b""
    elif output_format == "npz":
        assert np.load(tmp_path / "out")["values"].shape == (0, 2 * H)
    else:
        assert pytest.importorskip("pyarrow.parquet").read_table(tmp_path / "out").num_rows == 0
