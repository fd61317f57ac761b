"""Fixtures for several test files."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

pytest.register_assert_rewrite("helpers")

from helpers.repository import REPOSITORY, own_lines  # noqa: E402
from helpers.scripts import Scripts  # noqa: E402

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
hypothesis.settings.register_profile("any_processor", deadline=None)
hypothesis.settings.load_profile("any_processor")
# No test uses the network: those that appear to download a model have their own server, and TensorFlow would look for a
# TPU on the metadata server of Google's cloud.
_NOWHERE = "127.0.0.1:9"
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_ENDPOINT": f"http://{_NOWHERE}",
    "BERT_TF2_GOOGLE_MODELS": f"http://{_NOWHERE}",
    "GCE_METADATA_IP": _NOWHERE,
}

# If the tests are started in the background of a shell, Ctrl-C is ignored, which all their child processes inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_DATA = os.environ.get("BERT_TF2_REAL_DATA", "")
REAL_DATA_TESTS = REPOSITORY / "tests" / "real_data"
LONG_FILES = [  # the slowest files, which are started first, in this order
    "training/test_trainer.py",
    "modeling/test_keras_models.py",
    "tasks/finetuning/test_runner.py",
    "e2e/fuzz/test_bad_inputs.py",
    "e2e/test_run_classifier.py",
    "export/test_classifier.py",
    "e2e/test_run_pretraining.py",
    "training/test_step.py",
    "tasks/feature_extraction/test_runner.py",
    "e2e/test_run_ner.py",
    "tasks/squad/test_runner.py",
    "tokenization/test_fast_wordpiece.py",
    "tokenization/test_tf_tokenizer.py",
    "test_pretrained_models.py",
    "e2e/test_run_pretraining_dynamic.py",
    "input_pipeline/test_record_batches.py",
    "export/test_encoder.py",
    "export/test_onnx.py",
    "e2e/test_run_squad.py",
    "modeling/test_encoder.py",
    "export/test_tagger.py",
    "tokenization/test_wordpiece.py",
    "export/test_question_answering.py",
    "e2e/test_run_multiple_choice.py",
    "training/test_optimizers.py",
    "pretraining_data/test_local_runner.py",
    "e2e/test_multi_worker.py",
    "modeling/test_unpadded.py",
    "e2e/test_examples.py",
    "e2e/test_extract_features.py",
]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Public texts, vocabularies and checkpoints, and the original's outputs for them."""
    return Path(REAL_DATA)


@pytest.fixture(scope="session")
def spm_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model of 1,000 pieces, learned from our own text."""
    from bert_tf2.tokenization import vocab_training

    words = vocab_training.count_words(own_lines(), vocab_training.split_parts)
    path = tmp_path_factory.mktemp("spm") / "own.model"
    path.write_bytes(vocab_training.learn_sentencepiece(words, 1000))
    return path


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripts]:
    """Runs scripts in processes that need not import TensorFlow again."""
    started = Scripts(tmp_path_factory.mktemp("printed"))
    yield started
    started.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects tests for which `is_deselected` is true; an invalid BERT_TF2_REAL_DATA is an error."""
    if REAL_DATA and not Path(REAL_DATA).is_dir():
        raise pytest.UsageError(f"BERT_TF2_REAL_DATA={REAL_DATA} is not a directory.")
    out = [item for item in items if is_deselected(item)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
    # Two processes take file after file: if a slow file came last, one process would wait for the other.
    tests = REPOSITORY / "tests"
    order = {tests / name: position for position, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def is_deselected(item: pytest.Item) -> bool:
    """Whether a test needs real data and BERT_TF2_REAL_DATA is not set, or bfloat16 without support by oneDNN."""
    if REAL_DATA_TESTS in item.path.parents:
        return not REAL_DATA
    # TensorFlow asks the processor, not oneDNN, whether it supports bfloat16; if it does, but oneDNN is restricted to
    # older instructions, the process is aborted.
    return "bfloat16" in item.name and os.environ.get("ONEDNN_MAX_CPU_ISA", "") in ("SSE41", "AVX", "AVX2")
