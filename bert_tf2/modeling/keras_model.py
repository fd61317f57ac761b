"""The base of all Keras models of this package: configuration, freezing, saving and loading."""

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self

import keras
import tensorflow as tf

from bert_tf2.configs.lora import DEFAULT_LAYERS, Lora, layer_names
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling.layers import refuse_quantization
from bert_tf2.tokenization.wordpiece import FullTokenizer

if TYPE_CHECKING:
    from bert_tf2.modeling.encoder import BertModel

INPUT_IDS, INPUT_MASK, SEGMENT_IDS = "input_ids", "input_mask", "segment_ids"

_OTHER_NAMES = {"attention_mask": INPUT_MASK, "token_type_ids": SEGMENT_IDS}  # those of transformers


class BertBase(keras.Model):
    """A Keras model defined by a `BertConfig`; its variables are created with it.

    XLA compiles the operations between the matmuls of such a model (`fused_ops`), so `compile` does not compile the
    whole.

    Args:
      config: the encoder's config.
      recompute: see `encoder.BertModel`.
      **options: of `keras.Model`: `name`, `dtype`, `trainable`.

    Raises:
      InputError: the model is larger than this machine's memory.
    """

    ARCHITECTURE = "BertModel"
    """The class of transformers that has the same heads."""
    TRAINS_POOLER = True
    """Whether gradients reach the pooler."""

    def __init__(self, config: BertConfig, recompute: bool = False, **options: Any) -> None:
        super().__init__(**options)
        config.check_memory()
        self.config, self.recompute = config, recompute
        self.supports_jit = False

    def _complete(self) -> None:
        """Must be called when all layers have been created."""
        self.built = True
        for layer in () if self.trainable else self._layers:
            layer.trainable = False

    def named_variables(self) -> Mapping[str, keras.Variable]:
        """Every variable under its name in Google's checkpoints."""
        raise NotImplementedError

    def _encoder(self) -> "BertModel":
        """The encoder that the model is, or has; not a property, as Keras would look there for weights to save."""
        raise NotImplementedError

    # --- LoRA --------------------------------------------------------------------------------------------------------

    @property
    def lora(self) -> Lora | None:
        """The LoRA added by `add_lora`; None without."""
        return self._encoder()._lora

    def add_lora(self, rank: int = 8, alpha: float | None = None, layers: Sequence[str] = DEFAULT_LAYERS) -> None:
        """Adds LoRA: the encoder trains low-rank updates of some of its kernels instead of its weights.

        A kernel `W` becomes `W + alpha / rank · A B` (LoRA: Hu et al. 2021, arXiv:2106.09685). B is initialized to
        0, so the outputs are unchanged at first. Everything else in the encoder is frozen, except the pooler, which is
        trained with the heads if gradients reach it. Call it before `compile`, and in the scope of the model's
        strategy.

        Args:
          rank: of the updates.
          alpha: numerator of the scale; if None, the rank.
          layers: the kernels to adapt in each layer: "query", "key", "value", "attention_output", "intermediate",
            "output"; a sequence of names, or one comma-separated string.

        Raises:
          InputError: a value is invalid, or the model already has LoRA.

        Examples:
          >>> from bert_tf2 import BertClassifier, BertConfig
          >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
          >>> model = BertClassifier(config, labels=["bad", "good"])
          >>> model.add_lora(rank=4)
          >>> model.lora
          Lora(rank=4, alpha=4.0, layers=('query', 'value'))
          >>> model.merge_lora()
          >>> print(model.lora)
          None
        """
        self._encoder()._add_lora(
            Lora(rank, alpha, layer_names(layers) if isinstance(layers, str) else tuple(layers)), self
        )
        self._encoder().pooler.trainable = self.TRAINS_POOLER
        self._forget_programs()

    def merge_lora(self) -> None:
        """Merges what `add_lora` added into the kernels: a plain BERT with the same outputs up to rounding.

        Weights that `add_lora` froze stay frozen; `model.trainable = True` makes all trainable. Call `compile` before
        the next `fit`.

        Raises:
          InputError: the model has no LoRA.
        """
        self._encoder()._merge_lora()
        self._forget_programs()

    def _forget_programs(self) -> None:
        """Makes `fit`, `evaluate` and `predict` trace the model again."""
        self.train_function = self.test_function = self.predict_function = None

    # --- Files -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """For Keras's serialization; frozen layers stay frozen."""
        frozen = [name for name, variable in self.named_variables().items() if not variable.trainable]
        return {
            **super().get_config(),
            "config": self.config.to_dict(),
            "recompute": self.recompute,
            "frozen": frozen if self.trainable else [],
            **({"lora": self.lora.to_dict()} if self.lora else {}),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """For Keras's serialization."""
        options = {**config, "config": BertConfig.from_dict(config["config"])}
        frozen, lora = options.pop("frozen", []), options.pop("lora", None)
        model = cls(**options)
        if lora is not None:
            model.add_lora(**lora)
            model.trainable = options.get("trainable", True)
        variables = model.named_variables()
        for name in frozen:
            variables[name].trainable = False
        for layer in model._flatten_layers(include_self=False) if frozen else ():
            if not any(variable.trainable for variable in layer.weights):
                layer.trainable = False
        return model

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """A model with trained weights.

        Args:
          path: anything that `--init_checkpoint` accepts: a checkpoint or directory of the original BERT, the output
            directory of a training run (its latest weights) or the `best/` in it, a Hugging Face directory, or the name
            of a public model, which is downloaded (`bert-base-uncased`, `uncased_L-12_H-768_A-12`).
          **options: of the class, without `config`. `labels` and `problem_type` default to those in the directory; with
            others, a new head is initialized randomly. `num_hidden_layers=6` uses only the first 6 layers.

        Raises:
          InputError: the model does not exist, cannot be downloaded or read, has fewer layers, or has no labels.

        Examples:
          >>> from bert_tf2 import BertClassifier, BertConfig
          >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
          >>> BertClassifier(config, labels=["bad", "good"]).save_pretrained("my_model")
          >>> BertClassifier.from_pretrained("my_model").labels
          ('bad', 'good')
        """
        return importlib.import_module("bert_tf2.pretrained_models").load_model(cls, os.fspath(path), options)

    def save_pretrained(
        self, path: str | os.PathLike[str], format: str = "google", tokenizer: FullTokenizer | None = None
    ) -> None:
        """Writes a directory that `from_pretrained` and the scripts read; it appears when it is complete.

        Args:
          path: a new or empty directory.
          format: "google", a checkpoint with `bert_config.json`; or "huggingface", as transformers has it.
          tokenizer: the model's, whose vocabulary and case are written, too.

        Raises:
          InputError: there is no such format, something is at `path`, or the vocabulary is not the model's.
          OSError: the directory cannot be written.

        Examples:
          >>> import os
          >>> from bert_tf2 import BertConfig, BertModel
          >>> config = BertConfig(100, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
          >>> BertModel(config).save_pretrained("for_transformers", format="huggingface")
          >>> sorted(os.listdir("for_transformers"))[:2]
          ['config.json', 'model.safetensors']
        """
        importlib.import_module("bert_tf2.pretrained_models").save_model(self, os.fspath(path), format, tokenizer)

    def quantize(self, *_: Any, **__: Any) -> NoReturn:
        """Not supported; see `layers.refuse_quantization`."""
        refuse_quantization()


def features(inputs: Any, also: tuple[str, ...] = ()) -> dict[str, tf.Tensor]:
    """A model's inputs, under the names used in records.

    Args:
      inputs: ids, int `[B, S]`; or a tuple of ids, mask and segments, and then what `also` names, the last of which
        may be left out; or a dictionary of these, in which mask and segments may have transformers' names.
      also: names of further inputs of the model.

    Returns:
      `input_ids`, `input_mask` (1 everywhere if it was not given), `segment_ids` (0 everywhere), each `[B, S]`, and
      what was given of `also`.

    Raises:
      InputError: there are no ids, or there is something that the model does not take.
    """
    names = (INPUT_IDS, INPUT_MASK, SEGMENT_IDS, *also)
    if isinstance(inputs, Mapping):
        unknown = [name for name in inputs if _OTHER_NAMES.get(name, name) not in names]
        if unknown or INPUT_IDS not in inputs:
            what = f"have {unknown[0]!r}, which the model does not take" if unknown else f"lack {INPUT_IDS!r}"
            raise InputError(f"The inputs {what}; expected {INPUT_IDS!r} and any of {', '.join(map(repr, names[1:]))}.")
        found: dict[str, Any] = {str(_OTHER_NAMES.get(name, name)): value for name, value in inputs.items()}
    elif isinstance(inputs, (tuple, list)):
        if not 1 <= len(inputs) <= len(names):
            raise InputError(f"The inputs are {len(inputs)} arrays; expected 1 to {len(names)}: {', '.join(names)}.")
        found = dict(zip(names, inputs, strict=False))
    else:
        found = {INPUT_IDS: inputs}
    found[INPUT_IDS] = tf.cast(found[INPUT_IDS], tf.int32)
    found.setdefault(INPUT_MASK, tf.ones_like(found[INPUT_IDS]))
    found.setdefault(SEGMENT_IDS, tf.zeros_like(found[INPUT_IDS]))
    return found
