"""The config of a BERT model, as in Google's `bert_config.json`; no TensorFlow."""

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn, Self

from bert_tf2.configs.fields import MODEL, setting
from bert_tf2.errors import InputError, counted
from bert_tf2.io import file_system, json_files

ACTIVATIONS = ("gelu", "gelu_exact", "linear", "relu", "tanh")

CONFIG_FILE = "bert_config.json"
MOST_LAYERS = 1000
MOST_POSITIONS = 1 << 20

# Keys that change what a model computes, and the only supported values.
_ONLY: dict[str, tuple[Any, ...]] = {
    "add_cross_attention": (False,),
    "directionality": ("bidi",),
    "is_decoder": (False,),
    "is_encoder_decoder": (False,),
    "layer_norm_eps": (1e-12,),
    "pooler_type": ("first_token_transform",),
    "position_embedding_type": ("absolute",),
    "pruned_heads": ({},),
    "quantization_config": (),
}
# Far beyond any existing model; a larger value is a mistake that would otherwise show only after hours, or by
# exhausting memory.
_MOST = {
    "vocab_size": 10_000_000,
    "hidden_size": 1 << 16,
    "num_hidden_layers": MOST_LAYERS,
    "num_attention_heads": 1 << 16,
    "intermediate_size": 1 << 20,
    "max_position_embeddings": MOST_POSITIONS,
    "type_vocab_size": 1 << 16,
}

# Keys of public files that this model, like the original, ignores. They repeat what is known otherwise, or configure
# the library that wrote them. Keys that begin with _ are of the same kind.
_WITHOUT_EFFECT = frozenset(
    [
        *("architectures", "attn_implementation", "auto_map", "bad_words_ids", "bos_token_id"),
        *("chunk_size_feed_forward", "classifier_dropout", "cross_attention_hidden_size", "decoder_start_token_id"),
        *("dtype", "eos_token_id", "eos_token_ids", "finetuning_task", "gradient_checkpointing", "id2label"),
        *("label2id", "language", "max_length", "min_length", "model_max_length", "model_type", "name", "num_beams"),
        *("num_labels", "num_return_sequences", "output_all_encoded_layers", "output_attentions"),
        *("output_hidden_states", "output_past", "pad_token_id", "pooler_fc_size", "pooler_num_attention_heads"),
        *("pooler_num_fc_layers", "pooler_size_per_head", "prefix", "problem_type", "return_dict", "sep_token_id"),
        *("task_specific_params", "tie_word_embeddings", "tokenizer_class", "torch_dtype", "torchscript"),
        *("transformers_version", "use_bfloat16", "use_cache", "xla_device"),
    ]
)
# Hugging Face's activations -> ours. "gelu" is the exact one there, and the approximation by tanh in Google's configs.
_HUGGING_FACE_ACTIVATIONS = {
    "gelu": "gelu_exact",
    "gelu_python": "gelu_exact",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
# Hugging Face's defaults for omitted keys.
_HUGGING_FACE_DEFAULTS: dict[str, Any] = {"vocab_size": 30522, "type_vocab_size": 2, "hidden_act": "gelu"}
HUGGING_FACE_FILE = "config.json"
# Keys that identify a Hugging Face config, whatever the file's name.
_HUGGING_FACE = {"model_type", "architectures"}


def first_layers() -> Any:
    """The field `num_hidden_layers` of the commands that start from a checkpoint."""
    return setting(
        None,
        help="Use only this many of the model's layers, counted from the first.",
        group=MODEL,
        at_least=1,
        at_most=MOST_LAYERS,
    )


def check_fixed_values(values: Mapping[str, Any]) -> None:
    """Checks the keys of a config that affect the computation but are not fields of `BertConfig`.

    Raises:
      InputError: one of them has an unsupported value.
    """
    for key, only in _ONLY.items():
        if values.get(key) is not None and values[key] not in only:
            support = f"only {only[0]!r} is supported" if only else "such models are not supported"
            raise InputError(f"{key} is {values[key]!r}; {support}.")


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The config of a model, with the keys and defaults of Google's `bert_config.json`.

    Attributes:
      vocab_size: pieces in the vocabulary, `V`.
      hidden_size: `H`.
      num_hidden_layers: encoder layers.
      num_attention_heads: `N`; must divide `H`.
      intermediate_size: `I`, width of the feed-forward layers.
      hidden_act: activation of the feed-forward layers and the masked-LM head: gelu (the tanh approximation, as in
        Google's code), gelu_exact (Hugging Face's "gelu"; unknown to Google's code), relu, tanh or linear.
      hidden_dropout_prob: dropout on embeddings and on every block's output, in [0, 1).
      attention_probs_dropout_prob: dropout on attention probabilities, in [0, 1).
      max_position_embeddings: the longest sequence.
      type_vocab_size: number of segment types.
      initializer_range: standard deviation of the truncated normal distribution that weights are initialized from.

    Raises:
      InputError: a value is invalid; the message names the key.

    Examples:
      >>> from bert_tf2 import BertConfig
      >>> config = BertConfig(vocab_size=30522, hidden_size=256, num_hidden_layers=4, num_attention_heads=4)
      >>> config.head_size
      64
      >>> BertConfig.from_dict(config.to_dict()) == config
      True
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
                self._refuse(field.name, "it must be an integer above 0")
            if field.type is int and value > _MOST[field.name]:
                self._refuse(field.name, f"it must be at most {_MOST[field.name]}")
            if field.name.endswith("dropout_prob") and not (_is_number(value) and 0 <= value < 1):
                self._refuse(field.name, "it must be at least 0 and below 1")
        if not (_is_number(self.initializer_range) and self.initializer_range > 0):
            self._refuse("initializer_range", "it must be above 0")
        if self.hidden_act not in ACTIVATIONS:
            self._refuse("hidden_act", f"choose one of {', '.join(ACTIVATIONS)}")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"BERT config: hidden_size {self.hidden_size} is not a multiple of num_attention_heads "
                f"{self.num_attention_heads}; each head takes hidden_size / num_attention_heads columns."
            )

    def with_first_layers(self, count: int | None, owner: str) -> Self:
        """The config of a model with only the first layers of this one.

        Args:
          count: how many; None: all.
          owner: the name of this model in the error message.

        Raises:
          InputError: this model has fewer.
        """
        if count is None:
            return self
        if not 1 <= count <= self.num_hidden_layers:
            raise InputError(
                f"--num_hidden_layers={count}, but {owner} has {counted(self.num_hidden_layers, 'layer')}; give a "
                f"number from 1 to {self.num_hidden_layers}, or omit the flag."
            )
        return dataclasses.replace(self, num_hidden_layers=count)

    def _refuse(self, name: str, expected: str) -> NoReturn:
        raise InputError(f"BERT config: {name} is {json_files.shown(getattr(self, name))}; {expected}.")

    @property
    def num_parameters(self) -> int:
        """Number of parameters of the encoder, pooler included."""
        hidden, wide = self.hidden_size, self.intermediate_size
        rows = self.vocab_size + self.max_position_embeddings + self.type_vocab_size
        layer = 4 * (hidden + 1) * hidden + (hidden + 1) * wide + (wide + 1) * hidden + 4 * hidden
        return (rows + 2) * hidden + self.num_hidden_layers * layer + (hidden + 1) * hidden

    def check_memory(self) -> None:
        """Checks that the weights fit into this machine's memory, before the system kills the process.

        Raises:
          InputError: they do not.
        """
        needed, memory = 4 * self.num_parameters, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > memory:
            raise InputError(
                f"BERT config: the weights of this model ({self.num_parameters:,} parameters) take {needed / 1e9:,.0f} "
                f"GB, but this machine has {memory / 1e9:,.0f} GB of memory; check vocab_size, hidden_size, "
                "intermediate_size and num_hidden_layers."
            )

    @property
    def head_size(self) -> int:
        """`D`, the columns of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A config from the keys of `bert_config.json`.

        Keys of public files that have no effect are ignored.

        Raises:
          InputError: a key is unknown or has an unsupported value, or `vocab_size` is missing.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for key in values:
            if not (key in known or key in _ONLY or key in _WITHOUT_EFFECT or key.startswith("_")):
                raise InputError(f"BERT config: unknown key {key!r}; the keys are {', '.join(sorted(known))}.")
        try:
            check_fixed_values(values)
        except InputError as error:
            raise InputError(f"BERT config: {error}") from None
        if "vocab_size" not in values:
            raise InputError("BERT config: vocab_size is missing; it is the number of lines of the vocabulary file.")
        return cls(**{key: value for key, value in values.items() if key in known})

    @classmethod
    def from_hugging_face(cls, values: Mapping[str, Any]) -> Self:
        """A config from the content of a `config.json` of the transformers library.

        Raises:
          InputError: it is not that of a BERT model, or has an unsupported value.
        """
        model_type, architectures = values.get("model_type"), values.get("architectures") or [None]
        if not isinstance(architectures, list) or not isinstance(architectures[0], str | None):
            raise InputError(f"architectures is {architectures!r:.60}; expected a list with the name of a class.")
        if model_type != "bert" and not (model_type is None and (architectures[0] or "Bert").startswith("Bert")):
            raise InputError(f"model_type is {model_type!r}; only models of type 'bert' are supported.")
        check_fixed_values(values)
        sizes = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values}
        sizes = {**_HUGGING_FACE_DEFAULTS, **sizes}
        activation = _HUGGING_FACE_ACTIVATIONS.get(str(sizes["hidden_act"]))
        if activation is None:
            known = ", ".join(_HUGGING_FACE_ACTIVATIONS)
            raise InputError(f"hidden_act is {sizes['hidden_act']!r}; supported are {known}.")
        return cls.from_dict({**sizes, "hidden_act": activation})

    @classmethod
    def from_json_file(cls, path: str | os.PathLike[str]) -> Self:
        """Reads Google's `bert_config.json` or Hugging Face's `config.json`, recognized by name or keys.

        Args:
          path: the file, or the directory of a model.

        Raises:
          InputError: the file cannot be read, or is not the config of such a model; the message names the file.
        """
        if file_system.isdir(path):
            names = [CONFIG_FILE, HUGGING_FACE_FILE]
            if any(name.startswith(("model.safetensors", "pytorch_model.bin")) for name in file_system.listdir(path)):
                names.reverse()
            paths = [os.path.join(path, name) for name in names]
            path = next(filter(file_system.isfile, paths), paths[0])
        values = json_files.read_object(path, "expected a bert_config.json")
        is_hugging_face = os.path.basename(path) == HUGGING_FACE_FILE or _HUGGING_FACE & values.keys()
        try:
            return cls.from_hugging_face(values) if is_hugging_face else cls.from_dict(values)
        except InputError as error:
            raise InputError(f"{os.fspath(path)}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """The config under Google's keys."""
        return dataclasses.asdict(self)

    def to_json_string(self) -> str:
        """The config as the text of a `bert_config.json`: sorted keys, indented by two spaces."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"


def _is_number(value: object) -> bool:
    # A comparison, as math.isfinite fails on integers that are too large for a float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
