"""What the table of bad inputs needs: good inputs of every script, changed copies of them, and scripts to call."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from helpers.repository import TINY_CONFIG
from helpers.scripts import Scripts

WORDS = [f"w{number}" for number in range(24)]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghij"]  # no [unusedN] slots
SECONDS = 60.0
_BYTES = 16 << 30  # of address space: what asks for more is a defect, not a reason to stop the machine

Change = str | bytes | None | Callable[[bytes], bytes | str]

_MODEL = {"vocab_file": "vocab.txt", "bert_config_file": "bert_config.json"}
_TRAINING = {"train_batch_size": 2, "output_dir": "out"}
_LENGTH = {"max_seq_length": 16}
# A good command of each kind: the script and its flags, in the directory that `make_world` makes.
COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "create": (
        "create_pretraining_data",
        {
            "input_file": "text.txt",
            "output_file": "out.tfrecord",
            "vocab_file": "vocab.txt",
            "dupe_factor": 1,
            "max_seq_length": 16,
        },
    ),
    "vocab": ("build_vocab", {"input_file": "text.txt", "output_file": "out.txt", "vocab_size": 150, "num_unused": 5}),
    "extend": (
        "build_vocab",
        {"input_file": "text.txt", "output_file": "out.txt", "extend": "unused.txt", "min_count": 1},
    ),
    "pretrain": (
        "run_pretraining",
        {
            "input_file": "train.tfrecord",
            "bert_config_file": "bert_config.json",
            "do_train": True,
            "num_train_steps": 1,
            "num_warmup_steps": 0,
            **_TRAINING,
            **_LENGTH,
        },
    ),
    "fill": (
        "run_pretraining",
        {"do_predict": True, "output_dir": "pretrained", "predict_file": "masked.txt", **_MODEL},
    ),
    "classify": (
        "run_classifier",
        {"train_file": "train.csv", "do_train": True, "num_train_epochs": 0.5, **_MODEL, **_TRAINING, **_LENGTH},
    ),
    "classify_predict": (
        "run_classifier",
        {"output_dir": "classifier", "predict_file": "train.csv", "do_predict": True},
    ),
    "squad": (
        "run_squad",
        {
            "train_file": "squad.json",
            "do_train": True,
            "version_2_with_negative": True,
            "num_train_epochs": 0.5,
            "max_query_length": 4,
            "doc_stride": 4,
            **_MODEL,
            **_TRAINING,
            **_LENGTH,
        },
    ),
    "squad_predict": ("run_squad", {"output_dir": "answerer", "predict_file": "squad.json", "do_predict": True}),
    "tag": (
        "run_ner",
        {"train_file": "train.conll", "do_train": True, "num_train_epochs": 0.5, **_MODEL, **_TRAINING, **_LENGTH},
    ),
    "tag_predict": ("run_ner", {"output_dir": "tagger", "predict_file": "train.conll", "do_predict": True}),
    "choose": (
        "run_multiple_choice",
        {"train_file": "choices.jsonl", "do_train": True, "num_train_epochs": 0.5, **_MODEL, **_TRAINING, **_LENGTH},
    ),
    "choose_predict": (
        "run_multiple_choice",
        {"output_dir": "chooser", "predict_file": "choices.jsonl", "do_predict": True},
    ),
    "features": (
        "extract_features",
        {
            "input_file": "text.txt",
            "output_file": "out.jsonl",
            "init_checkpoint": "classifier",
            "layers": -1,
            **_LENGTH,
        },
    ),
    "convert": (
        "convert_checkpoint",
        {"init_checkpoint": "pretrained", "output_dir": "out", "vocab_file": "vocab.txt"},
    ),
    "convert_classifier": ("convert_checkpoint", {"init_checkpoint": "classifier", "output_dir": "out"}),
    "convert_back": ("convert_checkpoint", {"init_checkpoint": "hf", "output_dir": "out"}),
    "inspect": (
        "inspect_model",
        {"init_checkpoint": "pretrained", "vocab_file": "vocab.txt", "text": "w1 [MASK] w2", "output_dir": "out"},
    ),
    "score": (
        "inspect_model",
        {"init_checkpoint": "pretrained", "vocab_file": "vocab.txt", "text_file": "text.txt", "score": True},
    ),
    "export": ("export_model", {"output_dir": "classifier", "export_dir": "out"}),
}


RUN_DIRECTORY = ("out", r"out/\.lock")
"""What a training has created before it opens its data and weights."""


class Case(NamedTuple):
    """A bad input.

    Attributes:
      command: a key of `COMMANDS`.
      says: a pattern of the error message.
      files: changes of the good inputs: new content, a function of the old content, or None to remove a file.
      flags: instead of the good ones; None omits one.
      leaves: patterns of new files that the command may leave.
    """

    command: str
    says: str
    files: Mapping[str, Change] = {}
    flags: Mapping[str, Any] = {}
    environment: Mapping[str, str] = {}
    file_bytes: int | None = None
    leaves: tuple[str, ...] = ()


class Table(dict[str, Case]):
    """Cases by name; two of the same name are an error, as the second would silently replace the first."""

    def __setitem__(self, name: str, case: Case) -> None:
        assert name not in self, f"two cases are named {name!r}"
        super().__setitem__(name, case)

    def __ior__(self, cases: Mapping[str, Case]) -> "Table":
        for name, case in cases.items():
            self[name] = case
        return self


class Server:
    """The scripts of the table, with bounds on time and memory."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def call(self, directory: Path, command: str, flags: Mapping[str, Any] = {}, **options: Any) -> tuple[Any, str]:
        """The exit status and what was printed."""
        script, good = COMMANDS[command]
        values = {**good, **flags}
        arguments = [f"--{name}={_written(value)}" for name, value in values.items() if value is not None]
        return self._scripts.printed(
            f"{script}.py", arguments, directory=directory, seconds=SECONDS, address_space=_BYTES, **options
        )


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def make_world(directory: Path, server: Server) -> None:
    """Writes good inputs, and models that the scripts themselves make of them."""
    directory.mkdir()
    write = {
        "vocab.txt": "".join(f"{piece}\n" for piece in PIECES),
        "unused.txt": "".join(f"{piece}\n" for piece in [*PIECES[:5], "[unused0]", "[unused1]", *PIECES[5:]]),
        "bert_config.json": json.dumps({**TINY_CONFIG, "num_hidden_layers": 1}),
        "text.txt": "".join(f"{' '.join(WORDS[n : n + 6])}\n{'w1 w2 ' * 4}\n\n" for n in range(8)),
        "masked.txt": "w1 [MASK] w2\n",
        "train.csv": "text,label\n" + "".join(f"w{n} w3,{'good' if n % 2 else 'bad'}\n" for n in range(8)),
        "train.conll": "".join(f"w{n} O\nw2 B-x\nw3 I-x\n\n" for n in range(6)),
        "squad.json": json.dumps(squad()),
        "choices.jsonl": "".join(choices(label=n % 2) for n in range(4)),
    }
    for name, text in write.items():
        (directory / name).write_text(text, encoding="utf-8")
    for command, flags in (
        ("create", {"output_file": "train.tfrecord"}),
        ("pretrain", {"output_dir": "pretrained"}),
        ("classify", {"output_dir": "classifier"}),
        ("squad", {"output_dir": "answerer"}),
        ("tag", {"output_dir": "tagger"}),
        ("choose", {"output_dir": "chooser"}),
        ("convert_classifier", {"output_dir": "hf"}),
    ):
        status, printed = server.call(directory, command, flags)
        assert status == 0, printed
    for events in directory.rglob("runs"):
        shutil.rmtree(events)


def choices(**changes: Any) -> str:
    """A line with a question and two choices; `...` removes a key."""
    question = {"context": "w1 w2", "question": "w3", "endings": ["w4", "w5 w6"], "label": 0, **changes}
    return json.dumps({key: value for key, value in question.items() if value is not ...}) + "\n"


def squad() -> dict[str, Any]:
    """Four questions on two contexts."""
    questions = [
        {
            "id": f"q{number}",
            "question": "w1 w2",
            "is_impossible": number % 2 == 1,
            "answers": [] if number % 2 else [{"text": "w3", "answer_start": 0}],
        }
        for number in range(4)
    ]
    paragraphs = [{"context": "w3 w4 w5 w6 w7", "qas": questions[:2]}, {"context": "w3 w4", "qas": questions[2:]}]
    return {"version": "2.0", "data": [{"title": "t", "paragraphs": paragraphs}]}


def apply(directory: Path, files: Mapping[str, Change]) -> None:
    """Changes a copy of the world."""
    for name, change in files.items():
        path = directory / name
        if change is None:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            continue
        content = change(path.read_bytes()) if callable(change) else change
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", errors="surrogatepass"))


def listing(directory: Path) -> dict[str, bytes | None]:
    """All paths below a directory, with the contents of files."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")
    }


def with_values(**changes: Any) -> Callable[[bytes], str]:
    """A JSON object with other values; `...` removes a key."""

    def change(content: bytes) -> str:
        values = {**json.loads(content), **changes}
        return json.dumps({key: value for key, value in values.items() if value is not ...})

    return change
