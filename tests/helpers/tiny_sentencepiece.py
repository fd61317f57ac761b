"""A small SentencePiece model that is learned quickly."""

from pathlib import Path

import sentencepiece


def sentencepiece_model(directory: Path, **options: object) -> str:
    text = directory / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog and the Dog sleeps\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(directory / "x"), vocab_size=60, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1,
        minloglevel=2, hard_vocab_limit=False, **options,
    )  # fmt: skip
    return str(directory / "x.model")
