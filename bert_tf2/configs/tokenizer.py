"""What a WordPiece tokenizer can be told besides its vocabulary and case; no TensorFlow."""

import dataclasses
import re
from collections.abc import Iterable

from bert_tf2.configs.fields import MODEL, setting
from bert_tf2.errors import InputError

LONGEST_TOKEN = 200
"""Characters of a token that is never split at most; longer words are unknown to WordPiece."""


@dataclasses.dataclass(frozen=True)
class TokenizerOptions:
    """How text is treated, case aside; the names are those of Hugging Face's `BertTokenizer`, the defaults BERT's.

    Attributes:
      strip_accents: whether accents are stripped; None: where the text is lower-cased, as in the original.
      tokenize_chinese_chars: whether each Chinese character is a word of its own.
      never_split: tokens that are kept as they are, case and accents included, wherever the text has them: also inside
        a word. Where several of them begin, the longest is taken.

    Raises:
      InputError: a token of `never_split` is empty, is too long, or has whitespace, NUL or U+FFFD in it.
    """

    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True
    never_split: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for token in self.never_split:
            if reason := why_not_whole(token):
                raise InputError(f"--never_split: the token {token!r:.60} {reason}.")

    def strips_accents(self, do_lower_case: bool) -> bool:
        """Whether accents are stripped from text that is lower-cased or not."""
        return do_lower_case if self.strip_accents is None else self.strip_accents

    @property
    def of_characters(self) -> "TokenizerOptions":
        """The options without `never_split`: what becomes of each character."""
        return dataclasses.replace(self, never_split=())

    def pattern(self) -> str | None:
        """A regular expression, for `re` and RE2, that matches the tokens of `never_split`; None if there are none."""
        if not self.never_split:
            return None
        return f"({'|'.join(map(re.escape, sorted(self.never_split, key=len, reverse=True)))})"


def why_not_whole(token: str) -> str | None:
    """Why a text cannot be a token that is never split, the end of a sentence; None if it can be one."""
    if not token:
        return "is empty"
    if token.split() != [token]:
        return "has whitespace in it, at which text is always split"
    if "\0" in token or "\ufffd" in token:
        return "has a NUL or a U+FFFD in it, which are left out of all text"
    return f"is longer than {LONGEST_TOKEN} characters" if len(token) > LONGEST_TOKEN else None


PLAIN = TokenizerOptions()
"""What the original's tokenizer does."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """The flags of `TokenizerOptions`, of every command that tokenizes; None: what the model's directory says.

    Raises:
      InputError: see `TokenizerOptions`.
    """

    strip_accents: bool | None = setting(
        None,
        help="Whether to strip accents; by default as the model's tokenizer does, else where the text is lower-cased.",
        group=MODEL,
    )
    tokenize_chinese_chars: bool | None = setting(
        None,
        help="Whether each Chinese character is a word of its own; by default as the model's tokenizer does, else "
        "true.",
        group=MODEL,
    )
    never_split: str | None = setting(
        None,
        help="Tokens of the vocabulary, separated by commas, that are kept as they are wherever the text has them: "
        "[unused1],[DRUG]. By default those that the model's tokenizer has.",
        group=MODEL,
    )

    def __post_init__(self) -> None:
        _ = self.over(PLAIN)

    def over(self, options: TokenizerOptions) -> TokenizerOptions:
        """The options with what the flags say instead, where they say something."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        if self.never_split is not None:
            given["never_split"] = unique(filter(None, map(str.strip, self.never_split.split(","))))
        return dataclasses.replace(options, **given)

    def contradicted(self, options: TokenizerOptions) -> str | None:
        """The first flag that says something else than options do, as `name=value`; None if none does."""
        for field in dataclasses.fields(self):
            said, known = (getattr(one, field.name) for one in (self.over(options), options))
            if (sorted(said) != sorted(known)) if isinstance(known, tuple) else said != known:
                return f"{field.name}={getattr(self, field.name)}"
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextTokenizerConfig(TokenizerConfig):
    """The same flags of the commands that prepare text without a model, whose defaults are the original's."""

    strip_accents: bool | None = setting(
        None,
        help="Whether to strip accents; if omitted, where the text is lower-cased.",
        group=MODEL,
    )
    tokenize_chinese_chars: bool | None = setting(
        None,
        help="Whether each Chinese character is a word of its own; if omitted, true.",
        group=MODEL,
    )
    never_split: str | None = setting(
        None,
        help="Tokens of the vocabulary, separated by commas, that are kept as they are wherever the text has them: "
        "[unused1],[DRUG]. If omitted, none.",
        group=MODEL,
    )


def unique(tokens: Iterable[str]) -> tuple[str, ...]:
    """The tokens in their order, each once."""
    return tuple(dict.fromkeys(tokens))
