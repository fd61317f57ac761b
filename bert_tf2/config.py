"""The sizes of a BERT model, as Google's `bert_config.json` keeps them; no TensorFlow."""

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn, Self

from bert_tf2 import json_files
from bert_tf2.errors import InputError

ACTIVATIONS = ("gelu", "gelu_exact", "linear", "relu", "tanh")

# Keys of Google's Chinese and multilingual configurations that its model never read, and the values they have there.
_WITHOUT_EFFECT = {
    "directionality": "bidi",
    "pooler_fc_size": 768,
    "pooler_num_attention_heads": 12,
    "pooler_num_fc_layers": 3,
    "pooler_size_per_head": 128,
    "pooler_type": "first_token_transform",
}
# Far beyond any model there is; what is larger is a mistake that would take hours, or all memory, to show itself.
_MOST = {
    "vocab_size": 10_000_000,
    "hidden_size": 1 << 16,
    "num_hidden_layers": 1000,
    "num_attention_heads": 1 << 16,
    "intermediate_size": 1 << 20,
    "max_position_embeddings": 1 << 20,
    "type_vocab_size": 1 << 16,
}


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The sizes of a model; the same keys and defaults as Google's `bert_config.json`.

    Attributes:
      vocab_size: pieces in the vocabulary, `V`.
      hidden_size: `H`.
      num_hidden_layers: encoder layers.
      num_attention_heads: `N`; has to divide `H`.
      intermediate_size: `I`, width of the feed-forward layers.
      hidden_act: activation of the feed-forward layers and the masked-LM head: gelu (approximated by tanh, as
        Google's), gelu_exact (as Hugging Face's "gelu"; Google's code does not know it), relu, tanh or linear.
      hidden_dropout_prob: dropout on embeddings and on every block's output, in [0, 1).
      attention_probs_dropout_prob: dropout on attention probabilities, in [0, 1).
      max_position_embeddings: the longest sequence.
      type_vocab_size: number of segment types.
      initializer_range: standard deviation of the truncated normal that weights start from.

    Raises:
      InputError: a value is impossible; the message names the key.
    """

    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 16
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is int and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                self._refuse(field.name, "it has to be a whole number above 0")
            if field.type is int and value > _MOST[field.name]:
                self._refuse(field.name, f"it has to be at most {_MOST[field.name]}")
            if field.name.endswith("dropout_prob") and not (_is_number(value) and 0 <= value < 1):
                self._refuse(field.name, "it has to be at least 0 and below 1")
        if not (_is_number(self.initializer_range) and self.initializer_range > 0):
            self._refuse("initializer_range", "it has to be above 0")
        if self.hidden_act not in ACTIVATIONS:
            self._refuse("hidden_act", f"choose one of {', '.join(ACTIVATIONS)}")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"BERT config: hidden_size {self.hidden_size} is not a multiple of num_attention_heads "
                f"{self.num_attention_heads}; each head takes hidden_size / num_attention_heads columns."
            )

    def _refuse(self, name: str, expected: str) -> NoReturn:
        raise InputError(f"BERT config: {name} is {json_files.shown(getattr(self, name))}; {expected}.")

    @property
    def num_parameters(self) -> int:
        """Numbers in the weights of the encoder, the pooler included."""
        hidden, wide = self.hidden_size, self.intermediate_size
        rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size
        layer = 4 * (hidden + 1) * hidden + (hidden + 1) * wide + (wide + 1) * hidden + 4 * hidden
        return (rows + 2) * hidden + self.num_hidden_layers * layer + (hidden + 1) * hidden

    def check_memory(self) -> None:
        """Checks that the weights fit into this machine, before they are made and the system stops the process.

        Raises:
          InputError: they do not.
        """
        needed, memory = 4 * self.num_parameters, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > memory:
            raise InputError(
                f"BERT config: the weights of this model ({self.num_parameters:,} numbers) take {needed / 1e9:,.0f} "
                f"GB, and this machine has {memory / 1e9:,.0f} GB of memory; check vocab_size, hidden_size, "
                "intermediate_size and num_hidden_layers."
            )

    @property
    def head_size(self) -> int:
        """`D`, the columns of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A config from the keys of `bert_config.json`; unknown keys and a missing `vocab_size` raise `InputError`."""
        known = {field.name for field in dataclasses.fields(cls)}
        for key in values:
            if key in known:
                continue
            if key not in _WITHOUT_EFFECT:
                raise InputError(f"BERT config: unknown key {key!r}; the keys are {', '.join(sorted(known))}.")
            if isinstance(_WITHOUT_EFFECT[key], str) and values[key] != _WITHOUT_EFFECT[key]:
                raise InputError(
                    f"BERT config: {key} is {values[key]!r}; this model only has {_WITHOUT_EFFECT[key]!r}."
                )
        if "vocab_size" not in values:
            raise InputError("BERT config: vocab_size is missing; it is the number of lines of the vocabulary file.")
        return cls(**{key: value for key, value in values.items() if key in known})

    @classmethod
    def from_json_file(cls, path: str | os.PathLike[str]) -> Self:
        """Reads Google's `bert_config.json`; raises `InputError` that names the file."""
        values = json_files.read_object(path, "a bert_config.json was expected")
        try:
            return cls.from_dict(values)
        except InputError as error:
            raise InputError(f"{os.fspath(path)}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """The config under Google's keys."""
        return dataclasses.asdict(self)

    def to_json_string(self) -> str:
        """The config as the text of a `bert_config.json`: sorted keys, two blanks of indentation."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"


def _is_number(value: object) -> bool:
    # Compared, not math.isfinite: a whole number can be too large for that.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
