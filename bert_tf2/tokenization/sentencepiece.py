"""Text to SentencePiece ids and tokens with BERT's special tokens; no TensorFlow.

The interface is that of `fast_wordpiece.FastTokenizer`; the pieces are those of a model of the `sentencepiece` package,
of this project (`build_vocab.py --type=sentencepiece`) or another's, as of ALBERT.
"""

import functools
import hashlib
import os
import random
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bert_tf2.configs.tokenizer import PLAIN
from bert_tf2.errors import InputError, counted
from bert_tf2.io import file_system
from bert_tf2.tokenization.fast_wordpiece import Ragged, ragged
from bert_tf2.tokenization.subword_regularization import (
    UNKNOWN_ID,
    Piece,
    Sampler,
    sample_bpe,
    sample_unigram,
    split_words,
)
from bert_tf2.tokenization.wordpiece import (
    SPECIAL_TOKENS,
    BasicTokenizer,
    convert_ids_to_tokens,
    convert_to_unicode,
    convert_tokens_to_ids,
)

WORD_START = "▁"
_OTHER_NAMES = {"[PAD]": "<pad>", "[UNK]": "<unk>"}


class SentencePieceTokenizer:
    """Text to the pieces of a SentencePiece model.

    Text never gives a special token other than `[UNK]`, not even where it spells one: `[MASK]` in a text becomes the
    pieces of its characters, or `[UNK]` in a model that would find it (a user-defined symbol).

    With `alpha` above 0 the pieces of a text are sampled (`subword_regularization`). They only depend on the text and
    the seed, not on the process or on what was encoded before: a corpus split among workers gives the same ids.

    Attributes:
      vocab: the id of each piece, in the order of the ids. Padding and unknown are called `[PAD]` and `[UNK]`,
        regardless of their names in the model.
      inv_vocab: the piece of each id.
      do_lower_case: whether the text is lowered before the model sees it.
      is_continuation: bool `[vocab]`, whether the piece of an id continues a word. False for those that begin with
        `▁`, for special and user-defined symbols, and for those that begin with punctuation or a Chinese character,
        which are words of their own (`▁` is rare in text without spaces: a whole line would be one word).
    """

    def __init__(
        self, model_file: str | os.PathLike[str], do_lower_case: bool = False, alpha: float = 0.0, seed: int = 0
    ) -> None:
        """Reads the model.

        Args:
          model_file: a `.model` file with pieces for padding (`[PAD]` or `<pad>`), unknown (`[UNK]` or `<unk>`),
            `[CLS]`, `[SEP]` and `[MASK]`.
          do_lower_case: whether to lower the case, strip accents and unify quotes, as was done for ALBERT. Without
            effect on a model that folds case by itself, as those of build_vocab.py do.
          alpha: how the pieces are drawn. 0: the best ones, always the same. Else, for a unigram model, the power that
            probabilities are raised to (0.1 is usual; small is more even); for BPE, the probability of leaving out a
            merge.
          seed: of the random draws.

        Raises:
          InputError: no such file, not a model, a special token is missing, alpha is not from 0 to 1, or sampling with
            a model that is neither unigram nor BPE.
        """
        if not 0 <= alpha <= 1:
            raise InputError(f"--spm_alpha={alpha} must be between 0 and 1; 0 does not sample, 0.1 is usual.")
        path = os.fspath(model_file)
        try:
            model = file_system.path(path).read_bytes()
        except OSError as error:
            raise InputError(f"Cannot read the SentencePiece model {path}: {error.strerror}.") from None
        self._set_up(model, path, do_lower_case, alpha, seed)

    def _set_up(self, model: bytes, path: str, do_lower_case: bool, alpha: float, seed: int) -> None:
        import sentencepiece

        self._state = (model, path, do_lower_case, alpha, seed)
        self._alpha, self._seed = alpha, seed
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            content = _content(model)
            pieces = content.pieces
        except Exception:  # RuntimeError, or the protobuf library's DecodeError
            pieces = []
        if not pieces:
            raise InputError(
                f"{path} is not a SentencePiece model; expected the .model file that its trainer wrote (not the "
                ".vocab)."
            )
        names = _with_special_tokens([piece.piece for piece in pieces], path)
        self.vocab = {name: index for index, name in enumerate(names)}
        self.inv_vocab = dict(enumerate(names))
        self._unknown = self.vocab["[UNK]"]
        special = {self.vocab[token] for token in SPECIAL_TOKENS} - {self._unknown}
        self._forgeable = {index for index in special if pieces[index].type not in (_CONTROL, _UNUSED)}
        rules = BasicTokenizer(do_lower_case=False)
        self.is_continuation = np.array([_continues(piece, rules) for piece in pieces], bool)
        self.is_continuation[[*special, self._unknown]] = False

        self.do_lower_case = do_lower_case
        self.options = PLAIN
        self._lower = do_lower_case and self._processor.normalize("A") != self._processor.normalize("a")
        self._sampler: Sampler | None = None
        if alpha > 0:
            self._set_up_sampling(pieces, content.trainer_spec.model_type, path)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, self._state  # the model itself: its file may have gone

    def with_seed(self, seed: int) -> "SentencePieceTokenizer":
        """This tokenizer with another seed, for another round over the same text; the model is shared."""
        other = SentencePieceTokenizer.__new__(SentencePieceTokenizer)
        other.__dict__.update(self.__dict__)
        other._seed, other._state = seed, (*self._state[:-1], seed)
        return other

    def __call__(
        self,
        texts: str | Sequence[str],
        pairs: str | Sequence[str] | None = None,
        max_length: int | None = None,
        pad_to_max_length: bool = False,
    ) -> dict[str, Any]:
        """A model's inputs; see `sequences.make_batch`."""
        from bert_tf2.tokenization import sequences

        return sequences.make_batch(self.encode_batch, self.vocab, texts, pairs, max_length, pad_to_max_length)

    def tokenize(self, text: str | bytes) -> list[str]:
        """The pieces of the text, each in the vocabulary. Bytes are UTF-8, checked as in `convert_to_unicode`."""
        return [self.inv_vocab[index] for index in self.encode(text)]

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of the pieces of the text: `convert_tokens_to_ids(tokenize(text))`."""
        return self._rows([convert_to_unicode(text)])[0]

    def encode_batch(self, texts: Sequence[str]) -> Ragged:
        """The ids of many texts.

        Args:
          texts: strings of any length.

        Returns:
          A row of ids for each text, in their order; `encode(text)` each.
        """
        return ragged(self._rows(texts))

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """The ids of tokens; an unknown token raises `InputError`, it does not become `[UNK]`."""
        return convert_tokens_to_ids(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids; an unknown id raises `InputError`."""
        return convert_ids_to_tokens(self.inv_vocab, ids)

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        texts = [_lowered(text) for text in texts] if self._lower else list(texts)
        rows: list[list[int]]
        if self._sampler is None:
            rows = self._processor.encode(texts, out_type=int, num_threads=1)
        else:
            rows = [self._sample(text, self._sampler) for text in texts]
        if self._forgeable:
            rows = [[self._unknown if index in self._forgeable else index for index in row] for row in rows]
        return rows

    def _set_up_sampling(self, pieces: Sequence[Any], model_type: int, path: str) -> None:
        if model_type not in (_UNIGRAM, _BPE):
            raise InputError(
                f"--spm_alpha={self._alpha} samples pieces, but the model {path} is neither unigram nor BPE and has "
                "only one way to split a text; set --spm_alpha=0."
            )
        usable = {
            piece.piece: Piece(index, piece.score, piece.type == _USER_DEFINED)
            for index, piece in enumerate(pieces)
            if piece.type in (_NORMAL, _USER_DEFINED)
        }
        self._sampler = (sample_unigram if model_type == _UNIGRAM else sample_bpe)(usable, self._alpha)
        self._whole_lines = any(WORD_START in piece[1:] for piece in usable)  # then pieces go over the ends of words
        self._bytes = {int(piece.piece[3:5], 16): index for index, piece in enumerate(pieces) if piece.type == _BYTE}
        self._piece_lengths = {index: len(piece.piece) for index, piece in enumerate(pieces)}

    def _sample(self, text: str, sampler: Sampler) -> list[int]:
        # A source of its own for each text, made of all that may matter.
        rng = random.Random(hashlib.blake2b(f"{self._seed} {text}".encode(), digest_size=8).digest())
        normalized = self._processor.normalize(text)
        ids: list[int] = []
        for word in [normalized] if self._whole_lines else split_words(normalized):
            at = 0
            for index in sampler(word, rng):
                if index != UNKNOWN_ID:
                    ids.append(index)
                    at += self._piece_lengths[index]
                    continue
                if self._bytes:
                    ids += [self._bytes[byte] for byte in word[at].encode()]
                elif not ids or ids[-1] != self._unknown:  # the library makes one of several in a row
                    ids.append(self._unknown)
                at += 1
        return ids


def _unpickled(model: bytes, path: str, do_lower_case: bool, alpha: float, seed: int) -> SentencePieceTokenizer:
    tokenizer = SentencePieceTokenizer.__new__(SentencePieceTokenizer)
    tokenizer._set_up(model, path, do_lower_case, alpha, seed)
    return tokenizer


# --- Pieces ----------------------------------------------------------------------------------------------------------

# ModelProto.SentencePiece.Type and TrainerSpec.ModelType of sentencepiece_model.proto.
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 1, 2, 3, 4, 5, 6
_UNIGRAM, _BPE = 1, 2


@functools.cache
def _model_class() -> Any:
    """A protobuf class for the parts of `ModelProto` that are needed here.

    That of the sentencepiece package is generated for one version of protobuf and refuses to be imported with an older
    one, as Apache Beam brings.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sentencepiece_parts.proto", package="parts", syntax="proto2")
    model = file.message_type.add(name="Model")
    model.field.add(name="pieces", number=1, label=3, type=kinds.TYPE_MESSAGE, type_name=".parts.Piece")
    model.field.add(name="trainer_spec", number=2, label=1, type=kinds.TYPE_MESSAGE, type_name=".parts.Trainer")
    piece = file.message_type.add(name="Piece")
    piece.field.add(name="piece", number=1, label=1, type=kinds.TYPE_STRING)
    piece.field.add(name="score", number=2, label=1, type=kinds.TYPE_FLOAT)
    piece.field.add(name="type", number=3, label=1, type=kinds.TYPE_INT32, default_value=str(_NORMAL))
    trainer = file.message_type.add(name="Trainer")
    trainer.field.add(name="model_type", number=3, label=1, type=kinds.TYPE_INT32, default_value=str(_UNIGRAM))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("parts.Model"))


def _content(model: bytes) -> Any:
    """A model's pieces and kind; the processor does not tell the types of the pieces whole."""
    return _model_class().FromString(model)


def piece_scores(model: bytes) -> list[tuple[str, float]]:
    """The pieces of a model's bytes in the order of their ids, with their scores."""
    return [(piece.piece, piece.score) for piece in _content(model).pieces]


def _with_special_tokens(names: list[str], path: str) -> list[str]:
    """The names of the pieces, with BERT's names for padding and unknown."""
    present = set(names)
    wanted = {
        _OTHER_NAMES[token]: token for token in _OTHER_NAMES if token not in present and _OTHER_NAMES[token] in present
    }
    renamed = [wanted.get(name, name) for name in names]
    missing = [token for token in SPECIAL_TOKENS if token not in renamed]
    if missing:
        raise InputError(
            f"The SentencePiece model {path} of {counted(len(names), 'piece')} lacks {', '.join(missing)}; BERT needs "
            "[PAD] (or <pad>), [UNK] (or <unk>), [CLS], [SEP] and [MASK]. Train one with build_vocab.py "
            "--type=sentencepiece, or with spm_train and --pad_id and --control_symbols."
        )
    return renamed


def _continues(piece: Any, rules: BasicTokenizer) -> bool:
    """Whether a piece goes on with the word before it."""
    if piece.type == _BYTE:
        return True
    if piece.type in (_UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED) or piece.piece.startswith(WORD_START):
        return False
    return len(rules.tokenize("a" + piece.piece[:1])) == 1


def _lowered(text: str) -> str:
    """Lower case without accents, and one kind of double quotes: what ALBERT's tokenizer did before its model."""
    text = text.replace("``", '"').replace("''", '"')
    if not text.isascii():
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return text.lower()
