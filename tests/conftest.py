"""Fixtures that several test files share."""

import fnmatch
import os
import resource
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from helpers.scripts import Scripts

from bert_tf2.io.run_files import RunFile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Who starts the tests in the background of a shell has Ctrl-C ignored, and so would all processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]
GOLDEN = REPOSITORY / "tests" / "golden"  # outputs of the original; its README says how they were made
REAL_DATA = os.environ.get("BERT_TF2_REAL_DATA", "")
REAL_DATA_TESTS = REPOSITORY / "tests" / "real_data"
LONG_FILES = [  # those that take longest, in this order, begin first
    "test_bad_inputs.py",
    "test_run_pretraining.py",
    "test_training.py",
    "test_training_step.py",
    "test_export_encoder.py",
    "test_run_pretraining_dynamic.py",
    "test_finetuning.py",
    "test_export_answerer.py",
    "test_run_ner.py",
    "test_export_classifier.py",
    "test_modeling.py",
    "test_demo.py",
    "test_multi_worker.py",
    "test_extract_features.py",
    "test_squad_runner.py",
    "test_tokenization.py",
    "test_run_classifier.py",
    "test_run_squad.py",
    "test_feature_extraction.py",
    "test_export_tagger.py",
    "test_fast_tokenizer.py",
    "test_graph_tokenizer.py",
]

TINY_CONFIG = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Other people's texts, vocabularies and checkpoints, and the original's outputs on them."""
    return Path(REAL_DATA)


@pytest.fixture(scope="session")
def spm_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model of 1,000 pieces, learned from our own text."""
    from bert_tf2 import vocabulary

    words = vocabulary.count_words(own_lines(), vocabulary.split_parts)
    path = tmp_path_factory.mktemp("spm") / "own.model"
    path.write_bytes(vocabulary.learn_sentencepiece(words, 1000))
    return path


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripts]:
    """The scripts, in processes that need not import TensorFlow again."""
    started = Scripts(tmp_path_factory.mktemp("printed"))
    yield started
    started.close()


def own_lines() -> list[str]:
    """The lines of the golden text of our own, nearly 600 English sentences."""
    return (GOLDEN / "own/pretraining_data/text.txt").read_text(encoding="utf-8").split("\n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects what `is_deselected` says; a wrong BERT_TF2_REAL_DATA is an error."""
    if REAL_DATA and not Path(REAL_DATA).is_dir():
        raise pytest.UsageError(f"BERT_TF2_REAL_DATA={REAL_DATA} is not a directory.")
    out = [item for item in items if is_deselected(item)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
    # Two processes take file after file: one that begins with the last file but takes a minute lets the other wait.
    items.sort(key=lambda item: LONG_FILES.index(item.path.name) if item.path.name in LONG_FILES else len(LONG_FILES))


def is_deselected(item: pytest.Item) -> bool:
    """Tests of real data unless BERT_TF2_REAL_DATA says where it is, and what a oneDNN of old processors cannot do."""
    if REAL_DATA_TESTS in item.path.parents:
        return not REAL_DATA
    # TensorFlow asks the processor, not oneDNN, whether bfloat16 can be had; where it can and oneDNN was told to do
    # without, the process is aborted.
    return "bfloat16" in item.name and os.environ.get("ONEDNN_MAX_CPU_ISA", "") in ("SSE41", "AVX", "AVX2")


def unlisted(directory: Path, files: Iterable[RunFile]) -> list[str]:
    """What a directory has that a table of `io.run_files` does not."""
    names = [name.rstrip("/") for file in files for name in file.names]
    return [name for name in sorted(os.listdir(directory)) if not any(fnmatch.fnmatch(name, one) for one in names)]


def expect_full_disk(path: Path, limit: int, write: Callable[[], None], match: str = "cannot be written") -> None:
    """Lets `write` fill a disk, where files end at `limit` bytes: the error names `path`, and nothing stays behind."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
        with pytest.raises(OSError, match=match) as caught:
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert caught.value.filename == str(path)
    assert "File too large" in caught.value.strerror
    assert not path.exists()
    assert not list(path.parent.glob("*unfinished*"))
