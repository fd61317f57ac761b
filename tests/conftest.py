"""Fixtures that several test files share."""

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Who starts the tests in the background of a shell has Ctrl-C ignored, and so would all processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]

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
def shared() -> Path:
    """Golden outputs of the original and real data; beside the checkout in CI, not on every machine."""
    path = REPOSITORY.parent / "shared"
    if not path.is_dir():
        pytest.skip("shared/ (golden outputs, real data) is not beside the checkout")
    return path


def expect_full_disk(path: Path, limit: int, write: Callable[[], None]) -> None:
    """Lets `write` fill a disk, where files end at `limit` bytes: the error names `path`, and nothing stays behind."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
        with pytest.raises(OSError, match="cannot be written") as caught:
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert caught.value.filename == str(path)
    assert "File too large" in caught.value.strerror
    assert not path.exists()
    assert not list(path.parent.glob("*unfinished*"))
