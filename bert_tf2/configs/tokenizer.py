"""Options of a WordPiece tokenizer besides its vocabulary and case; no TensorFlow."""

import dataclasses
import re
from collections.abc import Iterable

from bert_tf2.configs.fields import MODEL, as_flag, setting
from bert_tf2.errors import InputError

LONGEST_TOKEN = 200
"""Maximum length in characters of a token that is never split; WordPiece maps longer words to [UNK]."""


@dataclasses.dataclass(frozen=True)
class TokenizerOptions:
    """How text is normalized and split, case aside; Hugging Face's `BertTokenizer` names, BERT's defaults.

    Attributes:
      strip_accents: whether to strip accents; None: if the text is lower-cased, as in the original.
      tokenize_chinese_chars: whether each Chinese character is a word of its own.
      never_split: tokens that are kept unchanged, case and accents included, wherever they occur in the text, even
        inside a word. If several match, the longest is taken.

    Raises:
      InputError: a token of `never_split` is empty, too long, or contains whitespace, NUL or U+FFFD.
    """

    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    never_split: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for token in self.never_split:
            if problem := never_split_problem(token):
                raise InputError(f"--never_split: the token {token!r:.60} {problem}.")

    def strips_accents(self, do_lower_case: bool) -> bool:
        """Whether accents are stripped, given whether the text is lower-cased."""
        return do_lower_case if self.strip_accents is None else self.strip_accents

    @property
    def of_characters(self) -> "TokenizerOptions":
        """The options without `never_split`: those that apply to single characters."""
        return dataclasses.replace(self, never_split=())

    def pattern(self) -> str | None:
        """A regular expression for `re` and RE2 that matches the `never_split` tokens; None if there are none."""
        if not self.never_split:
            return None
        return f"({'|'.join(map(re.escape, sorted(self.never_split, key=len, reverse=True)))})"


def never_split_problem(token: str) -> str | None:
    """Why a text cannot be a `never_split` token, to complete a sentence; None if it can."""
    if not token:
        return "is empty"
    if token.split() != [token]:
        return "contains whitespace, at which text is always split"
    if "\0" in token or "\ufffd" in token:
        return "contains NUL or U+FFFD, which are removed from all text"
    return f"is longer than {LONGEST_TOKEN} characters" if len(token) > LONGEST_TOKEN else None


PLAIN = TokenizerOptions()
"""The options of the original's tokenizer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """The flags for `TokenizerOptions`, in every command that tokenizes; None: as in the model's directory.

    Raises:
      InputError: see `TokenizerOptions`.
    """

    strip_accents: bool | None = setting(
        None,
        help="Whether to strip accents; if omitted, as the model's tokenizer does, else if the text is lower-cased.",
        group=MODEL,
    )
    tokenize_chinese_chars: bool | None = setting(
        None,
        help="Whether each Chinese character is a word of its own; if omitted, as in the model's tokenizer, else true.",
        group=MODEL,
    )
    never_split: str | None = setting(
        None,
        help="Comma-separated tokens of the vocabulary that are kept unchanged wherever they occur in the text: "
        "[unused1],[DRUG]. If omitted, those of the model's tokenizer.",
        group=MODEL,
    )

    def __post_init__(self) -> None:
        _ = self.over(PLAIN)

    def over(self, options: TokenizerOptions) -> TokenizerOptions:
        """The options, overridden by the flags that are given."""
        overrides = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        if self.never_split is not None:
            overrides["never_split"] = unique(filter(None, map(str.strip, self.never_split.split(","))))
        return dataclasses.replace(options, **overrides)

    def contradicted(self, options: TokenizerOptions) -> str | None:
        """The first flag that contradicts the options, as written on the command line; None if none does."""
        for field in dataclasses.fields(self):
            flag, actual = (getattr(each, field.name) for each in (self.over(options), options))
            if (sorted(flag) != sorted(actual)) if isinstance(actual, tuple) else flag != actual:
                return as_flag(field.name, getattr(self, field.name))
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextTokenizerConfig(TokenizerConfig):
    """The same flags for commands that prepare text without a model; the defaults are the original's."""

    strip_accents: bool | None = setting(
        None,
        help="Whether to strip accents; if omitted, only if the text is lower-cased.",
        group=MODEL,
    )
    tokenize_chinese_chars: bool | None = setting(
        None,
        help="Whether each Chinese character is a word of its own; if omitted, true.",
        group=MODEL,
    )
    never_split: str | None = setting(
        None,
        help="Comma-separated tokens of the vocabulary that are kept unchanged wherever they occur in the text: "
        "[unused1],[DRUG]. If omitted, none.",
        group=MODEL,
    )


def unique(tokens: Iterable[str]) -> tuple[str, ...]:
    """The tokens without repetitions, in order of first occurrence."""
    return tuple(dict.fromkeys(tokens))
