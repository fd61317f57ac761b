"""Checkpoints with Google's variable names, compatible with TF1's BERT in both directions.

A checkpoint is the pair `<prefix>.index`, `<prefix>.data-00000-of-00001`. It contains each variable under its name in
google-research/bert (`bert/encoder/layer_0/attention/self/query/kernel`), its optimizer slots as `<name>/<slot>`
(`<name>/adam_m` and `<name>/adam_v` of BERT's Adam), and `global_step`. The file `checkpoint` of a directory lists the
newest checkpoints.
"""

import dataclasses
import logging
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from bert_tf2.checkpoints import by_name, huggingface, listing, lora, model_garden
from bert_tf2.checkpoints.listing import find as find
from bert_tf2.checkpoints.listing import latest as latest
from bert_tf2.checkpoints.listing import remove as remove
from bert_tf2.checkpoints.paths import hugging_face_directory as hugging_face_directory
from bert_tf2.errors import InputError, counted, some
from bert_tf2.io import atomic, file_system, run_files

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)

GLOBAL_STEP = "global_step"
WORD_EMBEDDINGS = "bert/embeddings/word_embeddings"
AVERAGE = "ExponentialMovingAverage"  # in TF1, the last part of a moving average's name
Reader = Any  # the result of NewCheckpointReader, whose class has no public name


class DamagedCheckpointError(InputError):
    """A checkpoint that exists but cannot be read."""


def tf_variables(named_variables: Mapping[str, "keras.Variable"]) -> dict[str, tf.Variable]:
    """The TensorFlow variables of Keras variables, by the same names; the functions of this module take these."""
    return {name: variable.value for name, variable in named_variables.items()}


def is_model_variable(name: str) -> bool:
    """Whether a name has one of the prefixes that only model variables and their slots have."""
    return name.startswith(("bert/", "cls/"))


def training_state(shapes: Mapping[str, Sequence[int]], variables: Collection[str] = ()) -> set[str]:
    """The names in a checkpoint that are training state, of any optimizer, rather than model variables.

    These are slots, `<variable>/<anything>`, and scalars (`global_step`, `beta1_power`, ...) outside the model.

    Args:
      shapes: the shapes in the checkpoint, by name.
      variables: the names of model variables, in addition to those in the checkpoint.
    """
    known = {*shapes, *variables}

    def is_slot(name: str) -> bool:
        parts = name.split("/")
        return any("/".join(parts[:end]) in known for end in range(1, len(parts)))

    return {name for name, shape in shapes.items() if is_slot(name) or not (shape or is_model_variable(name))}


def step_of(prefix: str) -> int:
    """The `global_step` of a checkpoint; 0 if it has none.

    Raises:
      InputError: the checkpoint cannot be read, or its `global_step` is not a step.
    """
    reader = open_reader(prefix)
    if not reader.has_tensor(GLOBAL_STEP):
        return 0
    step = read(reader, GLOBAL_STEP, prefix)
    if np.shape(step) or not isinstance(step, np.integer | np.floating | int) or not 0 <= step < 1 << 63:
        raise InputError(
            f"{GLOBAL_STEP} in {prefix} is {step!r:.60}; expected the number of finished steps; use another checkpoint."
        )
    return int(step)


def open_reader(prefix: str) -> Reader:
    """Opens a checkpoint; raises `DamagedCheckpointError` if it is corrupt or not a checkpoint."""
    try:
        return model_garden.with_google_names(tf.compat.v1.train.NewCheckpointReader(prefix))
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:  # IndexError: the file is truncated
        raise DamagedCheckpointError(
            f"{prefix} is not a readable TensorFlow checkpoint ({_first_line(error)}); use another one."
        ) from None


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """The result of `load`.

    Attributes:
      prefix: the prefix of the checkpoint.
      loaded: the names of loaded variables.
      missing: the names of model variables that the checkpoint lacks; these keep their initial values.
      unused: the names in the checkpoint that the model lacks.
      mismatched: the names of head variables with a different shape in the checkpoint; these keep their initial values.
      state: the names in `unused` that are training state.
      above: the names in `unused` that belong to layers above the requested ones.
    """

    prefix: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    above: tuple[str, ...] = ()

    def __str__(self) -> str:
        others = [name for name in self.unused if name not in (*self.state, *self.above)]
        lines = [f"Initialized from {self.prefix}: {counted(len(self.loaded), 'variable')} loaded."]
        if self.missing:
            lines.append(f"  Missing there, so newly initialized ({len(self.missing)}): {', '.join(self.missing)}")
        if self.mismatched:
            lines.append(
                "  Of another shape there (a head for another number of labels), so newly initialized "
                f"({len(self.mismatched)}): {', '.join(self.mismatched)}"
            )
        if others:
            lines.append(f"  In the checkpoint but unused ({len(others)}): {', '.join(others)}")
        if self.above:
            layers = huggingface.first_layers(min(map(huggingface.layer_index, self.above)))
            lines.append(f"  Not needed: {counted(len(self.above), 'variable')} of the layers above {layers}.")
        if self.state:
            values = counted(len(self.state), "value")
            lines.append(f"  Also unused: {values} of the optimizer, which a new run initializes itself.")
        if not (self.missing or self.unused or self.mismatched):
            lines.append("  Nothing missing, nothing unused.")
        return "\n".join(lines)


def load(
    variables: Mapping[str, tf.Variable], path: str, encoder: str = "bert/", num_hidden_layers: int | None = None
) -> LoadReport:
    """Initializes a model from a checkpoint, by name; see `load_from`.

    Args:
      variables: the model's variables, by Google's names.
      path: a Hugging Face directory, anything that `find` accepts, or the name of a public model; see `by_name`.
      encoder: the prefix of the names that must match.
      num_hidden_layers: the number of layers of the model, if the checkpoint may have more, of which the first are
        used; None if both must have the same number.

    Returns:
      A report of what was loaded, missing and unused; `str(report)` is readable.

    Raises:
      InputError: there are no such weights, or they do not match the model.
    """
    path = by_name.local_path(path)
    directory = hugging_face_directory(path)
    if directory is not None:
        reader = huggingface.ModelDirectory(directory)
        reader.check_readable(variables)
        return load_from(variables, reader, reader.weights_file, encoder, num_hidden_layers)
    prefix = find(path)
    return load_from(variables, open_reader(prefix), prefix, encoder, num_hidden_layers)


def load_from(
    variables: Mapping[str, tf.Variable],
    reader: Reader,
    prefix: str,
    encoder: str = "bert/",
    num_hidden_layers: int | None = None,
) -> LoadReport:
    """Initializes a model from an open checkpoint, by name.

    Heads may be missing, unused or of a different shape, and the pooler may be missing. The rest of the encoder must
    match: a name with the prefix `encoder` that only one side has, or a different shape, is an error. LoRA is loaded
    into the same LoRA, otherwise merged into the kernels; LoRA that the checkpoint lacks keeps its values.

    Args:
      variables: the model's variables, by Google's names.
      reader: the result of `open_reader`, or another object with its `get_variable_to_shape_map` and `get_tensor`.
      prefix: the checkpoint's name in messages.
      encoder: the prefix of the names that must match.
      num_hidden_layers: see `load`.

    Raises:
      InputError: the checkpoint does not match the model, or is corrupt.
    """
    variables, reader = lora.reconcile(variables, reader, prefix, read, AVERAGE)
    shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
    unused = sorted(set(shapes) - set(variables))
    missing = sorted(set(variables) - set(shapes))
    mismatched = [name for name, v in variables.items() if name in shapes and list(v.shape) != shapes[name]]
    _check_shapes({name: variables[name] for name in mismatched if name.startswith(encoder)}, shapes, prefix)
    required = [name for name in variables if name.startswith(encoder) and not name.startswith(f"{encoder}pooler/")]
    lacking = [name for name in missing if name in required]
    if required and len(lacking) == len(required):
        raise InputError(
            f"{prefix} has no variable named {encoder}...; it holds {some(sorted(shapes))}. "
            "A checkpoint of the original BERT, or of this project, was expected."
        )
    state = training_state(shapes, variables)
    surplus = [name for name in unused if name.startswith(encoder) and name not in state]
    above = () if num_hidden_layers is None else huggingface.names_above(surplus, num_hidden_layers)
    surplus = [name for name in surplus if name not in above]
    for names, problem in ((lacking, "the model has but the checkpoint lacks"), (surplus, "only the checkpoint has")):
        if names:
            raise InputError(
                f"The encoder in {prefix} does not match the BERT config: {problem} {some(names)}; "
                "use the bert_config.json that belongs to the checkpoint (num_hidden_layers?)."
            )
    loaded = [name for name in variables if name in shapes and name not in mismatched]
    _assign(variables, loaded, reader, prefix)
    unused_state = tuple(name for name in unused if name in state)
    return LoadReport(prefix, tuple(loaded), tuple(missing), tuple(unused), tuple(mismatched), unused_state, above)


def load_averages(variables: Mapping[str, tf.Variable], path: str) -> int:
    """Sets variables to their moving averages in a checkpoint, if it has them; returns the number of those loaded.

    Raises:
      InputError: there is no such checkpoint, or it is corrupt.
    """
    prefix = find(path)
    variables, reader = lora.reconcile(variables, open_reader(prefix), prefix, read, AVERAGE)
    averages = {f"{name}/{AVERAGE}": variable for name, variable in variables.items()}
    available = [name for name in averages if reader.has_tensor(name)]
    _assign(averages, available, reader, prefix)
    return len(available)


def restore(
    variables: Mapping[str, tf.Variable], prefix: str, optional: Collection[str] = (), foreign: Collection[str] = ()
) -> list[str]:
    """Sets every variable, including slots and `global_step`, from a checkpoint of the same training run.

    Anything that only the checkpoint has would be missing from the next one saved; so it may be the state of an unknown
    optimizer, but not a model variable.

    Args:
      variables: the variables of the run, by name.
      prefix: the prefix of the checkpoint.
      optional: the names that the checkpoint may lack; these variables keep their values.
      foreign: the names that the checkpoint must not have, because they are slots of other optimizers.

    Returns:
      The names in `optional` that the checkpoint lacks.

    Raises:
      InputError: the checkpoint lacks a variable, has a different shape for one, or has one that the model lacks; then
        none has been set.
      DamagedCheckpointError: the checkpoint cannot be read; then some variables may have been set.
    """
    reader = open_reader(prefix)
    lora.check_same(lora.model_lora(variables), lora.checkpoint_lora(reader, prefix, read), prefix)
    shapes: dict[str, list[int]] = reader.get_variable_to_shape_map()
    _check_shapes(variables, shapes, prefix)
    foreign_slots = sorted({name.rpartition("/")[2] for name in foreign if name in shapes})
    if foreign_slots:
        raise InputError(
            f"{prefix} cannot be resumed: it has the state of another optimizer ({', '.join(foreign_slots)}); use the "
            "--optimizer that it was trained with, or another --output_dir, and this one as --init_checkpoint."
        )
    lacking = [name for name in variables if name not in shapes]
    missing = sorted(set(lacking) - set(optional))
    if missing:
        raise InputError(
            f"{prefix} cannot be resumed: it lacks {some(missing)}. It is of another model or holds no optimizer "
            "state; give another --output_dir, and this one as --init_checkpoint to start from its weights."
        )
    surplus = sorted(set(shapes) - set(variables) - training_state(shapes, variables))
    if surplus:
        raise InputError(
            f"{prefix} cannot be resumed: it has {some(surplus)}, for which this model has no place, so the next "
            "checkpoint would be without; use the bert_config.json and the flags that it was trained with, or another "
            "--output_dir, and this one as --init_checkpoint."
        )
    _assign(variables, [name for name in variables if name in shapes], reader, prefix)
    return lacking


def resume(
    variables: Mapping[str, tf.Variable],
    output_dir: str,
    optional: Collection[str] = (),
    foreign: Collection[str] = (),
) -> tuple[str, list[str]] | None:
    """Restores the newest complete checkpoint of a directory, and warns if there is a newer incomplete one.

    Args:
      variables: see `restore`.
      output_dir: the directory of the training run.
      optional: see `restore`.
      foreign: see `restore`.

    Returns:
      The prefix of the checkpoint, and the result of `restore`; None if the file `checkpoint` does not exist.

    Raises:
      InputError: no checkpoint is complete, or the newest complete one does not match.
    """
    if not listing.is_listed(output_dir):
        return None
    reasons = []
    for prefix in listing.newest_first(output_dir):
        try:
            if not listing.exists(prefix):
                raise DamagedCheckpointError(f"{prefix} is incomplete: its .index or .data file is missing.")
            lacking = restore(variables, prefix, optional, foreign)
        except DamagedCheckpointError as error:
            reasons.append(str(error))
            continue
        for reason in reasons:
            logger.warning("%s Using the one before it: %s.", reason.partition(";")[0].rstrip(".") + ".", prefix)
        return prefix, lacking
    raise InputError(
        f"No checkpoint of {output_dir} is complete ({' '.join(reasons) or 'none was found'}); remove the directory to "
        "start over, or restore its files."
    )


def _check_shapes(variables: Mapping[str, tf.Variable], shapes: Mapping[str, list[int]], prefix: str) -> None:
    check_shapes({name: list(variable.shape) for name, variable in variables.items()}, shapes, prefix)


def check_shapes(expected: Mapping[str, list[int]], shapes: Mapping[str, list[int]], prefix: str) -> None:
    """Checks that the variables of a model have the same shapes in a checkpoint, if it has them.

    Args:
      expected: the model's shapes, by name.
      shapes: the checkpoint's shapes, by name.
      prefix: the checkpoint's name in the error message.

    Raises:
      InputError: a shape differs.
    """
    for name, shape in expected.items():
        if name in shapes and shape != shapes[name]:
            advice = "use the bert_config.json that came with the checkpoint"
            if name == WORD_EMBEDDINGS and shape[1:] == shapes[name][1:] and shape[0] > shapes[name][0]:
                advice += ", or make room for more pieces with convert_checkpoint.py --grow_vocab"
            raise InputError(
                f"{name} is {shapes[name]} in {prefix} but {shape} in this model: checkpoint and BERT config do not "
                f"belong together; {advice}."
            )


def _assign(variables: Mapping[str, tf.Variable], names: Iterable[str], reader: Reader, prefix: str) -> None:
    for name in names:
        try:
            variables[name].assign(read(reader, name, prefix))
        except (tf.errors.OpError, ValueError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise DamagedCheckpointError(
                f"{name} in {prefix} cannot be used ({_first_line(error)}); use another checkpoint."
            ) from None


def read(reader: Reader, name: str, prefix: str) -> Any:
    """Reads an array of an open checkpoint.

    Args:
      reader: the result of `open_reader`.
      name: the variable's name.
      prefix: the checkpoint's name in the error message.

    Raises:
      DamagedCheckpointError: the array cannot be read.
    """
    try:
        return reader.get_tensor(name)
    except (tf.errors.OpError, RuntimeError, IndexError, ValueError) as error:  # IndexError: the file is truncated
        if isinstance(error, InputError):
            raise
        raise DamagedCheckpointError(
            f"{name} in {prefix} is corrupt ({_first_line(error)}); use another checkpoint."
        ) from None


def save(output_dir: str, step: int, variables: Mapping[str, tf.Variable], keep: int = 5) -> str:
    """Writes `model.ckpt-<step>` and makes it the newest checkpoint of its directory.

    The files are written into a temporary directory, synced and renamed, and only then listed in the file `checkpoint`;
    so, whenever the process is killed, `checkpoint` names a complete one.

    Args:
      output_dir: the directory; created if missing.
      step: the number of finished steps.
      variables: the variables to write, by name.
      keep: how many of the newest checkpoints to keep; older ones that `checkpoint` listed are removed.

    Returns:
      The prefix of the checkpoint.

    Raises:
      OSError: the files cannot be written, for example because the disk is full; earlier checkpoints are unchanged.
    """
    directory = file_system.path(output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    prefix = directory / f"{run_files.CHECKPOINT_PREFIX}-{step}"
    earlier = [path for path in listing.read_state(output_dir) or () if path != os.fspath(prefix)]
    try:
        with atomic.temporary_directory(prefix) as unfinished:
            write(os.fspath(unfinished / prefix.name), variables)
            for file in sorted(unfinished.iterdir()):  # .data before .index, which makes the data a checkpoint
                file_system.sync(file)
                file_system.replace(file, directory / file.name)
        file_system.sync(directory)
        kept = [*(earlier[-(keep - 1) :] if keep > 1 else []), os.fspath(prefix)]
        listing.write_state(directory, kept)
    except tf.errors.OpError as error:
        raise OSError(
            f"Cannot save {prefix}: {_first_line(error)}. Earlier checkpoints are kept; free some space and run the "
            "same command again to continue from the last one."
        ) from None
    for path in earlier:
        if path not in kept:
            remove(path)
    return os.fspath(prefix)


def write(prefix: str, variables: Mapping[str, Any]) -> None:
    """Writes the files of a checkpoint, without listing it in the file `checkpoint`.

    Args:
      prefix: the prefix of the files; its directory must exist.
      variables: variables or arrays, by name.

    Raises:
      tf.errors.OpError: the files cannot be written.
    """
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.convert_to_tensor(variable) for variable in variables.values()],
    )


def remove_unfinished(output_dir: str | os.PathLike[str]) -> None:
    """Deletes the unfinished checkpoints that killed processes left behind in a directory."""
    for unfinished in file_system.path(output_dir).glob(f".{run_files.CHECKPOINT_PREFIX}-*.unfinished-*"):
        file_system.rmtree(unfinished, ignore_errors=True)


def _first_line(error: Exception) -> str:
    line = str(getattr(error, "message", error)).strip().split("\n")[0]
    return re.sub(r"\{\{function_node .*?\}\} | \[Op:\w+\]", "", line)[:300]
