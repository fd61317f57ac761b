"""The complete pipeline: raw text -> vocabulary -> masked records -> pre-trained model, in minutes on a CPU.

    python demo.py --output_dir=demo_output

The text is English that every machine with this project has: docstrings of the installed TensorFlow, Keras and NumPy
and of Python's standard library. Each step prints its command, so that it can be repeated on other text.
"""

import ast
import concurrent.futures
import dataclasses
import json
import multiprocessing
import random
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from bert_tf2 import cli
from bert_tf2.configs.fields import as_flag
from bert_tf2.errors import InputError, counted
from bert_tf2.io.atomic import replacing
from bert_tf2.io.progress import Progress, duration

if TYPE_CHECKING:
    from bert_tf2 import records

OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "demo_output", "Directory for all files of the demo; that of an earlier demo is replaced."
)
TEXT_MEGABYTES = flags.DEFINE_float("text_megabytes", 5.0, "Megabytes of text to use.", lower_bound=0.01)
NUM_TRAIN_STEPS = flags.DEFINE_integer("num_train_steps", 5000, "Training steps.", lower_bound=1)
VOCAB_SIZE = flags.DEFINE_integer("vocab_size", 4000, "Number of pieces in the vocabulary.")

MARKER = ".demo"  # the file by which a later demo recognizes the directory, which it replaces
HELD_OUT_INTERVAL = 20  # every 20th document is kept for evaluation
BERT_CONFIG = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.0,  # a few passes over the data do not overfit
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.08,  # 0.02 suits a width of 768; a narrow model starts to learn sooner from wider weights
}
MASKED_LINES = """\
Returns a [MASK] of the same shape as the input.
If the argument is not [MASK], an error is raised.
The default [MASK] is None.
"""
RECORD_FLAGS = {"max_seq_length": 64, "max_predictions_per_seq": 10}


def source_files() -> list[Path]:
    """The source files of the installed libraries, sorted by name."""
    site_packages, library = Path(sysconfig.get_path("platlib")), Path(sysconfig.get_path("stdlib"))
    return [
        path
        for package in (site_packages / "keras", site_packages / "numpy", library, site_packages / "tensorflow")
        for path in sorted(package.rglob("*.py"))
        if not {"test", "tests", "site-packages", "idlelib"} & set(path.parts[len(package.parts) :])
    ]


def documents_of(path: Path) -> list[tuple[str, ...]]:
    """The sentences of each docstring of a file that has at least three."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return []
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    return [document for docstring in docstrings if len(document := tuple(sentences(docstring))) >= 3]


def documents() -> Iterator[tuple[str, ...]]:
    """The documents of all files in order, read by a process per core."""
    with concurrent.futures.ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        files = source_files()
        with Progress("Reading", len(files), unit="file") as progress:
            for of_file in pool.map(documents_of, files, chunksize=32):
                yield from of_file
                progress.update()


def sentences(docstring: str) -> list[str]:
    """The English of a docstring, one sentence each: code, headings and very short fragments left out."""
    found = []
    without_code = re.sub(r"```.*?(```|\Z)", "", docstring, flags=re.DOTALL)
    for paragraph in re.split(r"\n\s*\n", without_code):
        lines = [line.strip() for line in paragraph.splitlines() if not line.lstrip().startswith((">>>", "..."))]
        text = " ".join(line for line in lines if not re.fullmatch(r"[\W_]*", line))
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", text):
            letters = sum(character.isalpha() or character == " " for character in sentence)
            if len(sentence.split()) >= 5 and letters >= 0.85 * len(sentence):
                found.append(sentence)
    return found


def write_text(directory: Path, wanted_bytes: int) -> tuple[Path, Path]:
    """Writes `train.txt` and `held_out.txt`: one sentence per line, an empty line between documents."""
    shuffled = list(dict.fromkeys(documents()))  # each document once, however often it was found
    random.Random(12345).shuffle(shuffled)
    parts: dict[str, list[tuple[str, ...]]] = {"train": [], "held_out": []}
    size = 0
    for number, document in enumerate(shuffled):
        parts["held_out" if number % HELD_OUT_INTERVAL == 0 else "train"].append(document)
        size += sum(len(sentence) + 1 for sentence in document)
        if size >= wanted_bytes:
            break
    for name, chosen in parts.items():
        with replacing(directory / f"{name}.txt") as file:
            file.write("\n\n".join("\n".join(document) for document in chosen) + "\n")
        sentences = counted(sum(map(len, chosen)), "sentence")
        print(f"  {directory / name}.txt: {counted(len(chosen), 'document')}, {sentences}")
    return directory / "train.txt", directory / "held_out.txt"


def call(script: str, **values: object) -> None:
    """Prints a command and runs it."""
    arguments = [as_flag(name, value) for name, value in values.items()]
    print(f"  $ python {script} \\\n      " + " \\\n      ".join(map(shlex.quote, arguments)), flush=True)
    status = subprocess.run([sys.executable, str(Path(__file__).with_name(script)), *arguments], check=False).returncode
    if status:
        raise InputError(f"{script} ended with exit status {status}; its message is above.")


def read_results(directory: Path) -> dict[str, float]:
    """The numbers of an `eval_results.txt`."""
    lines = (directory / "eval_results.txt").read_text(encoding="utf-8").splitlines()
    return {name: float(value) for name, value in (line.split(" = ") for line in lines)}


def record_schema() -> "records.Schema":
    """The features of the demo's records."""
    from bert_tf2 import records

    return records.pretraining(RECORD_FLAGS["max_seq_length"], RECORD_FLAGS["max_predictions_per_seq"])


def constant_guess(records_file: Path) -> dict[str, float]:
    """The accuracies of always giving the most frequent answer, the least that a trained model should beat."""
    import numpy as np
    import tensorflow as tf

    schema = record_schema()
    batches = [schema.parse(batch) for batch in tf.data.TFRecordDataset(str(records_file)).batch(4096)]
    masked = np.concatenate([batch["masked_lm_ids"][batch["masked_lm_weights"] > 0] for batch in batches])
    random_next = np.concatenate([batch["next_sentence_labels"].numpy().ravel() for batch in batches])
    return {
        "masked_lm_accuracy": float(np.bincount(masked).max() / masked.size),
        "next_sentence_accuracy": float(np.bincount(random_next).max() / random_next.size),
    }


def training_curve(directory: Path, name: str) -> list[tuple[int, float]]:
    """Step and value of a TensorBoard scalar of a training."""
    import tensorflow as tf

    points = {}
    for path in sorted(directory.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag == name:
                    points[event.step] = float(tf.make_ndarray(value.tensor))
    return sorted(points.items())


def plot(path: Path, model: Path, before: dict[str, float], after: dict[str, float]) -> None:
    """Draws both accuracies during training, and the held-out ones before and after."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name, colour in (("masked_lm_accuracy", "tab:blue"), ("next_sentence_accuracy", "tab:orange")):
        label = name.removesuffix("_accuracy").replace("_", " ")
        steps, values = zip(*training_curve(model, name), strict=True)
        axes.plot(steps, values, color=colour, label=f"{label}, training")
        ends = [before["global_step"], after["global_step"]], [before[name], after[name]]
        axes.plot(*ends, "o", color=colour, markersize=8, label=f"{label}, held-out documents")
    axes.set(xlabel="step", ylabel="accuracy", ylim=(0, 1), title="BERT pre-trained on docstrings")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def new_directory(directory: Path) -> None:
    """Creates the demo's directory, removing the files of an earlier demo, also of one that was interrupted."""
    if directory.exists():
        if not (directory / MARKER).exists() and any(directory.iterdir()):
            raise InputError(f"{directory} exists and is not from an earlier demo; give another --output_dir.")
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    (directory / MARKER).touch()


def learn_vocabulary(directory: Path, text: Path) -> tuple[Path, Path]:
    """Writes the vocabulary and the config of a model of its size."""
    vocabulary, config_file = directory / "vocab.txt", directory / "bert_config.json"
    call("build_vocab.py", input_file=text, output_file=vocabulary, vocab_size=VOCAB_SIZE.value, num_unused=0)
    vocab_size = len(vocabulary.read_text(encoding="utf-8").splitlines())
    with replacing(config_file) as file:
        file.write(json.dumps({**BERT_CONFIG, "vocab_size": vocab_size}, indent=2) + "\n")
    return vocabulary, config_file


def make_records(vocabulary: Path, text: Path, dupe_factor: int) -> Path:
    """Makes the records of a text, and returns their file."""
    output = text.with_suffix(".tfrecord")
    call(
        "create_pretraining_data.py",
        input_file=text,
        output_file=output,
        vocab_file=vocabulary,
        dupe_factor=dupe_factor,
        **RECORD_FLAGS,
    )
    return output


def show_pieces(vocabulary: Path, text: Path) -> None:
    """Prints a sentence as the model will see it."""
    from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

    with text.open(encoding="utf-8") as file:
        sentence = next(line.strip() for line in file if 30 < len(line) < 100)
    print(f"  {sentence}\n  {' '.join(FastTokenizer(str(vocabulary)).tokenize(sentence))}")


def show_record(vocabulary: Path, records_file: Path) -> None:
    """Prints the first record: a pair of texts with masks, and what is to be predicted from it."""
    cli.import_tensorflow()
    import tensorflow as tf

    pieces = vocabulary.read_text(encoding="utf-8").splitlines()
    batch = record_schema().parse(next(iter(tf.data.TFRecordDataset(str(records_file)).batch(1))))
    row = {name: values.numpy()[0] for name, values in batch.items()}
    tokens = [pieces[index] for index in row["input_ids"][row["input_mask"] > 0]]
    masked = [pieces[index] for index in row["masked_lm_ids"][row["masked_lm_weights"] > 0]]
    follows = "does not follow" if row["next_sentence_labels"].item() else "follows"
    print(f"  {' '.join(tokens)}\n  to guess: {', '.join(masked)}; the second text {follows} the first")


@dataclasses.dataclass(frozen=True)
class Model:
    """A model in a directory, and the files that define and evaluate it."""

    directory: Path
    vocabulary: Path
    config_file: Path
    held_out: Path
    masked: Path

    def train(self, records: Path, steps: int, of_steps: int) -> dict[str, float]:
        """Trains up to a step, evaluates on all held-out records and fills masks; returns the evaluation's results.

        Args:
          records: to train on.
          steps: the step at which to stop; 0 leaves the model untrained.
          of_steps: the steps of the complete training.
        """
        call(
            "run_pretraining.py",
            do_train=True,
            do_eval=True,
            do_predict=True,
            input_file=records,
            eval_input_file=self.held_out,
            predict_file=self.masked,
            output_dir=self.directory,
            bert_config_file=self.config_file,
            vocab_file=self.vocabulary,
            train_batch_size=16,
            learning_rate=2e-3,
            num_train_steps=steps,
            num_warmup_steps=of_steps // 10,
            log_steps=max(1, of_steps // 40),
            eval_batch_size=64,
            max_eval_steps=0,
            **RECORD_FLAGS,
        )
        return read_results(self.directory)


def print_table(before: dict[str, float], after: dict[str, float], held_out: Path) -> None:
    """Prints the results on held-out documents, before and after the training."""
    print(f"\n{'Held-out documents':<30}{'before':>10}{'after':>10}{'constant guess':>18}")
    for name, guess in constant_guess(held_out).items():
        print(f"{name:<30}{before[name]:>10.1%}{after[name]:>10.1%}{guess:>18.1%}")
    for name in ("masked_lm_loss", "next_sentence_loss"):
        print(f"{name:<30}{before[name]:>10.3f}{after[name]:>10.3f}")


def main() -> None:
    """Text, vocabulary, records, training, table."""
    start = time.monotonic()
    directory = Path(OUTPUT_DIR.value)
    new_directory(directory)

    def step(number: int, what: str) -> None:
        print(f"\n[{number}/5] {what} ({duration(time.monotonic() - start)} so far)", flush=True)

    print("From raw text to a pre-trained BERT, in three to four minutes on two cores.")
    step(1, "Collecting English text from the docstrings of the installed libraries, about 15 s")
    train_text, held_out_text = write_text(directory, int(TEXT_MEGABYTES.value * 1e6))
    step(2, "Learning a vocabulary, about a second")
    vocabulary, config_file = learn_vocabulary(directory, train_text)
    show_pieces(vocabulary, train_text)
    step(3, "Making masked, paired records, a few seconds")
    train, held_out = make_records(vocabulary, train_text, 5), make_records(vocabulary, held_out_text, 1)
    show_record(vocabulary, train)
    model = Model(directory / "model", vocabulary, config_file, held_out, directory / "masked.txt")
    with replacing(model.masked) as file:
        file.write(MASKED_LINES)
    step(4, "Asking an untrained model for missing words, which it does not know")
    before = model.train(train, 0, NUM_TRAIN_STEPS.value)
    step(5, "Training it, two to three minutes, and asking again")
    after = model.train(train, NUM_TRAIN_STEPS.value, NUM_TRAIN_STEPS.value)

    picture = directory / "learning_curve.png"
    plot(picture, model.directory, before, after)
    print_table(before, after, held_out)
    print(f"\nDone in {duration(time.monotonic() - start)}. Where things are:")
    for what, where in (
        ("text", train_text),
        ("vocabulary", vocabulary),
        ("records", train),
        ("checkpoints, TensorBoard events", model.directory),
        ("learning curve", picture),
    ):
        print(f"  {what:<32}{where}")


if __name__ == "__main__":
    cli.run(main)
