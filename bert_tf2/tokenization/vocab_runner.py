"""Learns a vocabulary from text files, for build_vocab.py."""

import dataclasses
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from bert_tf2.configs.fields import FILES, check, check_has_effect, setting
from bert_tf2.configs.text_input import TextInput
from bert_tf2.configs.tokenizer import PLAIN, TextTokenizerConfig, TokenizerOptions
from bert_tf2.errors import InputError, counted
from bert_tf2.io import atomic, file_system, files, text_shards
from bert_tf2.io.progress import Progress, duration
from bert_tf2.tokenization import vocab_training
from bert_tf2.tokenization.vocab_case import warn_of_case
from bert_tf2.tokenization.wordpiece import BasicTokenizer, WordpieceTokenizer, load_vocab, vocab_of_lines

logger = logging.getLogger(__name__)

TYPES = ("wordpiece", "sentencepiece")
SPM_MODEL_TYPES = ("unigram", "bpe")
_MIN_COUNT = {"learn": 1, "extend": 5}
_ADDITIONS_SHOWN = 10
_CHARACTERS_SHOWN = 20
_NO_LIMIT = 1 << 62  # bytes of a group: no file is split


@dataclasses.dataclass(frozen=True)
class VocabularyConfig(TextInput):
    """The flags of `build_vocab.py`.

    Raises:
      InputError: a value is invalid, an input is missing, or an output would overwrite an input.
    """

    input_file: str = setting(
        help="Comma-separated paths and globs of plain UTF-8 text, or of tables (see text_column). May be compressed "
        "with gzip or Zstandard.",
        group=FILES,
    )
    output_file: str = setting(
        help="vocab.txt to write; for SentencePiece, x.model, with x.vocab written next to it.", group=FILES
    )
    type: str = setting("wordpiece", help="Kind of vocabulary.", choices=TYPES)
    vocab_size: int = setting(
        30522,
        help="Number of pieces, including special tokens, unused slots and characters.",
        at_least=1,
        at_most=10_000_000,
    )
    do_lower_case: bool = setting(
        True, help="Whether to lower-case the text; must be the same in all scripts that use the vocabulary."
    )
    limit_alphabet: int | None = setting(
        None,
        help="Number of distinct characters to keep, the most frequent ones; if omitted, all but the rarest that make "
        "up one in 100,000 of the text. Words with other characters become [UNK].",
        at_least=1,
        at_most=0x110000,
    )
    num_unused: int = setting(
        100,
        help="Number of [unusedN] slots, for words to be added later. With 99 or more, [UNK], [CLS], [SEP] and [MASK] "
        "have the ids 100 to 103, as in Google's vocabularies.",
        at_least=0,
        at_most=1_000_000,
    )
    min_count: int | None = setting(
        None,
        help="Ignore words that occur less often; if omitted, 1, or 5 with --extend.",
        at_least=1,
    )
    spm_model_type: str = setting("unigram", help="Kind of SentencePiece model.", choices=SPM_MODEL_TYPES)
    extend: str | None = setting(
        None,
        help="Existing vocab.txt: instead of learning a new one, fill its [unusedN] slots with the words of the text "
        "that save the most pieces.",
    )
    max_new: int | None = setting(None, help="With --extend: maximum words to add; if omitted, all slots.", at_least=1)
    tokenizer: TextTokenizerConfig = dataclasses.field(default_factory=TextTokenizerConfig)

    def __post_init__(self) -> None:
        check(self)
        self.check_tables(self.inputs)
        if self.extend and self.type != "wordpiece":
            raise InputError("--extend fills the [unusedN] slots of a vocab.txt; it needs --type=wordpiece.")
        if self.max_new is not None and not self.extend:
            raise InputError(
                "--max_new limits what --extend adds; give --extend=vocab.txt, too, or --vocab_size alone."
            )
        check_has_effect(
            self,
            ("vocab_size", "num_unused", "limit_alphabet"),
            not self.extend,
            "is for a new vocabulary; --extend keeps all pieces and fills [unusedN] slots (--max_new limits how many); "
            "omit it",
        )
        check_has_effect(
            self, ("spm_model_type",), self.type == "sentencepiece", "needs --type=sentencepiece; give both or omit it"
        )
        if self.type == "sentencepiece" and not self.output_file.endswith(".model"):
            raise InputError(
                f"--output_file={self.output_file}: a SentencePiece model must be named *.model; the list of its "
                "pieces is written next to it as *.vocab."
            )
        check_has_effect(
            self.tokenizer,
            tuple(field.name for field in dataclasses.fields(TextTokenizerConfig)),
            self.type == "wordpiece",
            "needs --type=wordpiece, as a SentencePiece model itself defines how text is treated; omit it",
        )
        sources = {file_system.realpath(path): "--input_file" for path in self.inputs}
        if self.extend:
            sources[file_system.realpath(self.extend)] = "--extend"
        for path in self.outputs:
            if file_system.isdir(path):
                raise InputError(f"--output_file: {path!r} is a directory; name a file in it.")
            if file_system.realpath(path) in sources:
                flag = sources[file_system.realpath(path)]
                raise InputError(f"--output_file: {path!r} is read by {flag}; write to another file.")

    @property
    def inputs(self) -> list[str]:
        """The files to read, globs expanded, in order."""
        return files.expand(self.input_file, "--input_file")

    @property
    def outputs(self) -> list[str]:
        """The files to write."""
        if not self.output_file:
            raise InputError("--output_file names no file; give a path, for example vocab.txt.")
        if self.type == "wordpiece":
            return [self.output_file]
        return [self.output_file, self.output_file.removesuffix(".model") + ".vocab"]

    @property
    def options(self) -> TokenizerOptions:
        """The tokenizer options, case aside."""
        return self.tokenizer.over(PLAIN)

    @property
    def least_count(self) -> int:
        """`min_count` or its default."""
        return self.min_count or _MIN_COUNT["extend" if self.extend else "learn"]


def build_vocabulary(config: VocabularyConfig) -> None:
    """Reads text, learns or extends a vocabulary, and writes it. The same text and config give the same bytes.

    Memory grows with the number of distinct words, not with the text; for SentencePiece and text without spaces, that
    amounts to the text.

    Raises:
      InputError: the input has no usable text, a file cannot be read, or the vocabulary size is too small.
    """
    if config.extend:
        _extend(config, config.extend)
    elif config.type == "wordpiece":
        _learn_wordpiece(config)
    else:
        _learn_sentencepiece(config)


def _learn_wordpiece(config: VocabularyConfig) -> None:
    # Opened first, so that an output that cannot be written is reported before the work is done.
    with atomic.replacing(config.output_file) as file:
        words = _count(config, BasicTokenizer.of(config.do_lower_case, config.options).tokenize)
        with _Stopwatch("Learned the pieces"):
            pieces = vocab_training.learn_wordpiece(
                words,
                config.vocab_size,
                num_unused=config.num_unused,
                limit_alphabet=config.limit_alphabet,
                min_count=config.least_count,
                options=config.options,
            )
        file.writelines(f"{piece}\n" for piece in pieces)
    known = frozenset(pieces)
    _report_rare_characters(words, known)
    reserved = len(vocab_training.head(config.num_unused, config.options.never_split))
    characters = sum(len(piece.removeprefix("##")) == 1 for piece in pieces[reserved:])
    logger.info(
        "Wrote %s: %s pieces, of which %s special tokens and unused slots, %s characters, %s longer pieces",
        config.output_file,
        *(f"{number:,}" for number in (len(pieces), reserved, characters, len(pieces) - reserved - characters)),
    )
    _report_size(len(pieces), config.vocab_size)
    logger.info("On this text: %s", vocab_training.measure(words, WordpieceTokenizer(known).tokenize))


def _extend(config: VocabularyConfig, old_file: str) -> None:
    old = load_vocab(old_file)
    warn_of_case(old, config.do_lower_case, old_file)
    with atomic.replacing(config.output_file) as file:
        lines = _with_tokens(list(files.read_lines(old_file)), old, config.options.never_split)
        words = _count(config, BasicTokenizer.of(config.do_lower_case, config.options).tokenize)
        lines, additions = vocab_training.extend(
            lines, vocab_of_lines(lines, old_file), words, min_count=config.least_count, max_new=config.max_new
        )
        file.writelines(f"{line}\n" for line in lines)
    new = load_vocab(config.output_file)
    logger.info("The added words that save the most pieces:")
    for addition in additions[:_ADDITIONS_SHOWN]:
        cut = " ".join(addition.pieces)
        logger.info(
            "  %s (%s), before: %s, now: id %d",
            *(addition.word, counted(addition.count, "time"), cut, addition.index),
        )
    left = sum(piece.startswith("[unused") for piece in new)
    logger.info(
        "Wrote %s: %s in slots of %s, all other ids unchanged, %s left",
        *(config.output_file, counted(len(additions), "word"), old_file, counted(left, "slot")),
    )
    for what, pieces in (("before", old), ("after", new)):
        logger.info("On this text, %s: %s", what, vocab_training.measure(words, WordpieceTokenizer(pieces).tokenize))


def _with_tokens(lines: list[str], vocab: Mapping[str, int], tokens: Iterable[str]) -> list[str]:
    """The lines of a vocabulary, with the missing ones of the tokens in its first slots."""
    lacking = [token for token in tokens if token not in vocab]
    slots = [index for index, line in enumerate(lines) if vocab_training.UNUSED.fullmatch(line)]
    if len(lacking) > len(slots):
        raise InputError(
            f"--never_split has {counted(len(lacking), 'token')} that the vocabulary of --extend lacks, but it has "
            f"only {counted(len(slots), '[unusedN] slot')}; give fewer tokens."
        )
    filled = list(lines)
    for index, token in zip(slots, lacking, strict=False):
        filled[index] = lines[index].replace(lines[index].strip(), token)
        logger.info("  %s, which is never split, is id %d", token, index)
    return filled


def _learn_sentencepiece(config: VocabularyConfig) -> None:
    from bert_tf2.tokenization.sentencepiece import SentencePieceTokenizer, piece_scores

    model_file, vocab_file = config.outputs
    with atomic.replacing(model_file, "wb") as file, atomic.replacing(vocab_file) as list_file:
        words = _count(config, vocab_training.split_parts)
        with _Stopwatch("Learned the model"):
            model = vocab_training.learn_sentencepiece(
                words,
                config.vocab_size,
                model_type=config.spm_model_type,
                do_lower_case=config.do_lower_case,
                num_unused=config.num_unused,
                limit_alphabet=config.limit_alphabet,
                min_count=config.least_count,
            )
        file.write(model)
        list_file.writelines(f"{piece}\t{score:g}\n" for piece, score in piece_scores(model))
    tokenizer = SentencePieceTokenizer(model_file)
    logger.info("Wrote %s: %s pieces, listed in %s", model_file, f"{len(tokenizer.vocab):,}", vocab_file)
    _report_size(len(tokenizer.vocab), config.vocab_size)
    logger.info("On this text (words between spaces): %s", vocab_training.measure(words, tokenizer.tokenize))


def _count(config: VocabularyConfig, split: Callable[[str], Iterable[str]]) -> Mapping[str, int]:
    paths = config.inputs
    groups = text_shards.plan(paths, _NO_LIMIT, config.text_column, config.form)
    started = time.monotonic()
    with Progress("Counting words", sum(map(file_system.getsize, paths)), unit="byte") as progress:

        def lines() -> Iterator[str]:
            for span in itertools.chain.from_iterable(group.spans for group in groups):
                logger.info("Reading %s", span.path)
                for lines, size in text_shards.read_lines(text_shards.Group(0, (span,))):
                    yield from lines
                    progress.update(size)

        words = vocab_training.count_words(lines(), split)
    if not words:
        raise InputError(f"--input_file: no words in {', '.join(paths)}; give plain UTF-8 text.")
    logger.info(
        "Counted %s, %s of them distinct, in %s",
        *(counted(words.total(), "word"), f"{len(words):,}", duration(time.monotonic() - started)),
    )
    return words


class _Stopwatch:
    """Logs the duration of a piece of work."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            logger.info("%s in %s", self._what, duration(time.monotonic() - self._started))


def _report_size(size: int, vocab_size: int) -> None:
    if size < vocab_size:
        logger.warning(
            "Only %s could be learned from the text, fewer than --vocab_size=%s.",
            *(counted(size, "piece"), f"{vocab_size:,}"),
        )
    logger.info('For a model with this vocabulary, set "vocab_size": %d in its bert_config.json', size)


def _report_rare_characters(words: Mapping[str, int], pieces: frozenset[str]) -> None:
    counts = vocab_training.count_characters(words)
    rare = [char for char in vocab_training.ranked(counts) if char not in pieces]
    if rare:
        share = sum(counts[char] for char in rare) / counts.total()
        shown = " ".join(rare[:_CHARACTERS_SHOWN]) + (" ..." if len(rare) > _CHARACTERS_SHOWN else "")
        logger.info(
            "Dropped the %s rarest of %s characters, %.4f %% of the text: %s (see --limit_alphabet)",
            *(f"{len(rare):,}", f"{len(counts):,}", 100 * share, shown),
        )
