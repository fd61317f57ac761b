"""Exports a model that takes token ids to ONNX, and verifies it in onnxruntime.

Shapes: `B` rows, `S` tokens.
"""

import dataclasses
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2 import metrics
from bert_tf2.checkpoints.task_metadata import may_read
from bert_tf2.configs.long_texts import WINDOWS
from bert_tf2.errors import InputError, counted
from bert_tf2.export import program
from bert_tf2.export.config import INT8, ExportConfig
from bert_tf2.export.program import Program
from bert_tf2.export.sequences import TOKEN_IDS
from bert_tf2.export.source import ModelSource
from bert_tf2.io import file_system, run_files
from bert_tf2.metrics.finite import check_finite
from bert_tf2.tasks.classification import glue
from bert_tf2.tasks.classification.data import Data
from bert_tf2.tasks.classification.features import Features, featurize
from bert_tf2.tasks.classification.task_description import TaskDescription

logger = logging.getLogger(__name__)

_PACKAGES = ("tf2onnx", "onnx", "onnxruntime")
_OPSET = 17
_MOST_BYTES = (1 << 31) - (1 << 24)  # the limit of a protobuf message, less some room for the graph
_LARGEST_DIFFERENCE = 1e-4
_AXES = ("batch", "sequence")

Arrays = dict[str, NDArray[Any]]
Run = Callable[[Arrays], Arrays]


def check_installed(config: ExportConfig) -> None:
    """Checks that the packages for the export are installed.

    Raises:
      InputError: a package is missing.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--format={config.format} needs {', '.join(missing)}: python -m pip install 'bert-tf2[onnx]'."
        )


def write(directory: str, config: ExportConfig, source: ModelSource, functions: Program) -> None:
    """Writes `model.onnx`, with `--quantize=int8` also `model.int8.onnx`, and labels, settings and vocabulary.

    Args:
      directory: an existing directory.
      config: the flags.
      source: the model.
      functions: the model's functions.

    Raises:
      InputError: the model is too large, its outputs are not finite, onnxruntime's results differ from TensorFlow's, or
        `--dev_file` cannot be read.
      OSError: a file cannot be written.
    """
    size = sum(4 * variable.shape.num_elements() for variable in functions.variables)
    if size > _MOST_BYTES:
        raise InputError(f"The model has {size / 1e9:.1f} GB of weights; an ONNX file can hold at most 2 GB.")
    data = _evaluation_data(config, source)
    function = tf.function(_numeric(functions), input_signature=list(TOKEN_IDS.values()), autograph=False)
    path = os.path.join(directory, run_files.ONNX_MODEL)
    _convert(function, path)
    batch = program.sample_batch(source)
    expected = {name: value.numpy() for name, value in function(*map(tf.constant, batch.values())).items()}
    check_finite(expected)
    run = _session(path)
    difference = _difference(run(batch), expected)
    if not difference <= _LARGEST_DIFFERENCE:
        raise InputError(
            f"onnxruntime's results differ from TensorFlow's by {difference:.1e}; with these versions of "
            f"{', '.join(_PACKAGES)} the model cannot be exported."
        )
    logger.info(
        "%s: %s; results differ from TensorFlow's by at most %.1e.", run_files.ONNX_MODEL, _size(path), difference
    )
    if config.quantize == INT8:
        int8_path = os.path.join(directory, run_files.ONNX_INT8_MODEL)
        _quantize(path, int8_path)
        outputs = _session(int8_path)(batch)
        check_finite(outputs)
        difference = _difference(outputs, expected)
        name = run_files.ONNX_INT8_MODEL
        logger.info("%s: %s; results on random input differ by %.1e.", name, _size(int8_path), difference)
        if data is not None:
            _print_scores(run, _session(int8_path), data, source, config.batch_size)
    program.write_assets(directory, source, functions)


def _numeric(functions: Program) -> Callable[..., dict[str, tf.Tensor]]:
    """The function of token ids without its string outputs, which are in the other files of the export."""

    def outputs(input_ids: tf.Tensor, input_mask: tf.Tensor, segment_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        values = functions.of_token_ids(input_ids, input_mask, segment_ids)
        return {name: value for name, value in values.items() if value.dtype != tf.string}

    return outputs


def _convert(function: Any, path: str) -> None:
    import onnx
    import tf2onnx

    with program.suppress_logging(logging.INFO):
        model = tf2onnx.convert.from_function(
            function,
            input_signature=list(TOKEN_IDS.values()),
            opset=_OPSET,
            custom_op_handlers={"Erfc": (_erfc, [])},
        )[0]
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in zip(value.type.tensor_type.shape.dim, _AXES, strict=False):
            if axis.dim_param:  # else the axis has a fixed size
                axis.dim_param = name
    onnx.save(model, path)


def _erfc(graph: Any, node: Any, name: str, _: Any) -> None:
    """Converts the operation Erfc (of the exact GELU), which tf2onnx does not support, to 1 - erf."""
    inputs, outputs = node.input, node.output
    graph.remove_node(node.name)
    one = graph.make_const(f"{name}_one", np.array(1.0, np.float32))
    erf = graph.make_node("Erf", inputs)
    graph.make_node("Sub", [one.output[0], erf.output[0]], name=name, outputs=outputs)


def _quantize(path: str, int8_path: str) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with program.suppress_logging(logging.WARNING):
        quantize_dynamic(path, int8_path, weight_type=QuantType.QInt8)


def _session(path: str) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = {value.name for value in session.get_inputs()}  # a tagger does not use segments
    names = [value.name for value in session.get_outputs()]

    def run(batch: Arrays) -> Arrays:
        outputs = session.run(names, {name: value for name, value in batch.items() if name in inputs})
        return dict(zip(names, outputs, strict=True))

    return run


def _difference(outputs: Arrays, expected: Arrays) -> float:
    """The largest absolute difference of a number; whether it reaches a threshold is not compared."""
    return max(
        float(np.abs(np.subtract(outputs[name], value, dtype=np.float64)).max())
        for name, value in expected.items()
        if value.dtype.kind == "f"
    )


def _size(path: str) -> str:
    return f"{file_system.getsize(path) / 1e6:,.1f} MB"


# --- Measuring --------------------------------------------------------------------------------------------------------


def _evaluation_data(config: ExportConfig, source: ModelSource) -> Data | None:
    """The data on which to measure the loss of accuracy by quantization; None if there is none."""
    if config.quantize != INT8:
        return None
    description = source.description
    if not isinstance(description, TaskDescription) or description.long_text == WINDOWS:
        if config.dev_file:
            raise InputError(
                "--dev_file: the loss of accuracy is measured for classifiers only, and not for --long_text=windows; "
                "omit it."
            )
        return None
    if config.dev_file:
        return Data(
            dataclasses.replace(
                description,
                dev_file=config.dev_file,
                text_column=description.text_column or "text",
                label_column=description.label_column or (None if description.label_columns else "label"),
            )
        )
    if glue.is_known(description.name) and _may_read(source, description.data_dir):
        return Data(description, glue.task_named(description.name))
    if _may_read(source, description.dev_file):
        return Data(description)
    logger.warning("The loss of accuracy by --quantize=int8 was not measured; give --dev_file to measure it.")
    return None


def _may_read(source: ModelSource, path: str | None) -> bool:
    return path is not None and may_read(source.directory, path) and file_system.exists(path)


def _print_scores(float32: Run, int8: Run, data: Data, source: ModelSource, batch_size: int) -> None:
    """Prints a table of the scores of both models and their difference."""
    description = data.description
    examples = data.examples("dev")
    labels = np.asarray(data.labels(examples))
    tokenizer = source.foundation.tokenizer(description.do_lower_case)
    features = featurize(examples, labels, tokenizer, description.max_seq_length, long_text=description.long_text)
    scores = []
    for run in (float32, int8):
        batches = [run(batch) for batch in _batches(features, batch_size)]
        outputs = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
        scores.append(
            metrics.evaluate(description.problem_type, _logits(outputs), labels, data.metrics, description.threshold)
        )
    print(f"{examples.path}, {counted(len(examples), 'row')}:")
    print(f"{'':<20}{'float32':>10}{'int8':>10}{'change':>10}")
    for name, before in scores[0].items():
        after = scores[1][name]
        print(f"{name:<20}{before:>10.4f}{after:>10.4f}{after - before:>+10.4f}")


def _batches(features: Features, batch_size: int) -> Iterator[Arrays]:
    for begin in range(0, len(features), batch_size):
        columns = features.columns(begin, min(begin + batch_size, len(features)))
        longest = int(columns["input_mask"].sum(1).max())
        yield {name: columns[name][:, :longest] for name in TOKEN_IDS}


def _logits(outputs: Arrays) -> NDArray[Any]:
    """Logits for `metrics.evaluate` that give the same order of labels and the same probabilities as the outputs."""
    if "value" in outputs:
        return outputs["value"][:, None]
    probabilities = np.clip(outputs["probabilities"].astype(np.float64), 1e-12, 1 - 1e-12)
    if "predicted" in outputs:
        return np.asarray(np.log(probabilities) - np.log1p(-probabilities))
    return np.asarray(np.log(probabilities))
