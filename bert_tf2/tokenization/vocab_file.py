"""WordPiece vocabularies: reading and checking the file; no TensorFlow."""

import os
from collections.abc import Container, Mapping, Sequence

from bert_tf2.configs.tokenizer import TokenizerOptions
from bert_tf2.errors import InputError, counted
from bert_tf2.io.files import read_lines

UNKNOWN = "[UNK]"
"""The piece for words that are too long or cannot be split into pieces."""

SPECIAL_TOKENS = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")
"""The pieces that every vocabulary must have."""

_BLANKS = " \t\r"


def load_vocab(vocab_file: str | os.PathLike[str]) -> dict[str, int]:
    r"""Reads a vocabulary file: one piece per line; a piece's id is its line number, from 0.

    Lines end at `\n`; whitespace around a piece (and so the `\r` of `\r\n`) is not part of it. This, and what follows
    from it, is as in the original: a line of only whitespace is the piece `""`, such as id 343 of Google's Chinese
    vocabulary, whose line contains U+2028. No text produces that piece, but it takes an id, and code that draws pieces
    at random can draw it. Of several such lines, with different characters, the last one determines the id of `""`, and
    no piece has the ids of the others; the same holds for `##` and whitespace.

    Empty lines at the end of the file are ignored. (The original took them for `""`, too, with an id beyond the model's
    embedding table.)

    Args:
      vocab_file: a UTF-8 file such as the `vocab.txt` of a checkpoint.

    Returns:
      The pieces and their ids, in the order of the file.

    Raises:
      InputError: the file cannot be read, is not UTF-8, is empty, has a piece twice, or lacks one of `SPECIAL_TOKENS`.
    """
    return vocab_of_lines(list(read_lines(vocab_file)), os.fspath(vocab_file))


def vocab_of_lines(lines: Sequence[str], path: str) -> dict[str, int]:
    """What `load_vocab` makes of the lines of a file, with its errors, which call the file `path`."""
    lines = list(lines)
    while lines and not lines[-1].strip(_BLANKS):
        lines.pop()
    if not lines:
        raise InputError(
            f"The vocabulary {path} is empty; it should have one piece per line, like a checkpoint's vocab.txt."
        )

    vocab: dict[str, int] = {}
    seen: dict[str, int] = {}
    for index, line in enumerate(lines):
        piece = line.strip()
        # Pieces made of different white-space characters come out equal, but none of them was written twice.
        written = line.strip(_BLANKS) if piece in ("", "##") else piece
        if written in seen:
            raise InputError(
                f"The vocabulary {path} has the piece {piece!r} on line {seen[written] + 1} and again on line "
                f"{index + 1}; each must occur once. Use the checkpoint's own vocab.txt, or rename the first of the "
                "two (the original used the last; to delete a line would move the ids after it)."
            )
        seen[written] = index
        vocab[piece] = index

    missing = [token for token in SPECIAL_TOKENS if token not in vocab]
    if missing:
        raise InputError(
            f"The vocabulary {path} lacks {', '.join(missing)}; BERT needs {', '.join(SPECIAL_TOKENS)}, each on a line "
            f"of its own. Found {counted(len(lines), 'line')}, the first is {lines[0][:40]!r}. Use the checkpoint's "
            "own vocab.txt, or put the missing ones in place of unused pieces."
        )
    return vocab


def with_added(vocab: Mapping[str, int], tokens: Sequence[str]) -> dict[str, int]:
    """A vocabulary and further pieces, whose ids follow its last one."""
    first = max(vocab.values()) + 1
    return {**vocab, **{token: first + number for number, token in enumerate(tokens)}}


def with_lines(content: bytes, tokens: Sequence[str]) -> bytes:
    """The content of a vocabulary's file and further pieces: what `load_vocab` reads as `with_added`."""
    if not tokens:
        return content
    return content.rstrip(b" \t\r\n") + b"".join(f"\n{token}".encode() for token in tokens) + b"\n"


def check_in_vocab(options: TokenizerOptions, vocab: Container[str], path: str) -> None:
    """Checks that tokens that are never split are pieces of a vocabulary.

    Raises:
      InputError: one is not; names the vocabulary by `path`.
    """
    for token in options.never_split:
        if token not in vocab:
            raise InputError(
                f"--never_split: {token!r:.60} is not in the vocabulary {path}; put it there in place of an [unusedN], "
                "or at the end (convert_checkpoint.py --grow_vocab makes room for it in a model)."
            )
