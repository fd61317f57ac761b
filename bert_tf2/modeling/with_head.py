"""The base classes of the tasks' Keras models: an encoder with a head, and with named labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import InputError
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.modeling.keras_model import BertBase


class BertWithHead(BertBase):
    """The encoder, `bert`, and the head that a subclass adds.

    If no gradient reaches the pooler, it is not trainable; otherwise Keras would warn of it in every `fit`.

    Args:
      config: the encoder's config.
      recompute: see `encoder.BertModel`.
      **options: of `keras.Model`: `name`, `dtype`, `trainable`.
    """

    def __init__(self, config: BertConfig, recompute: bool = False, **options: Any) -> None:
        super().__init__(config, recompute, **options)
        self.bert = BertModel(config, recompute, dtype=self.dtype_policy)

    def _complete(self) -> None:
        self.bert.pooler.trainable = self.TRAINS_POOLER
        super()._complete()

    def _encoder(self) -> BertModel:
        return self.bert

    def _heads(self) -> list[Any]:
        """The layers on top of the encoder."""
        raise NotImplementedError

    def named_variables(self) -> Mapping[str, keras.Variable]:
        """All variables, by their names in Google's checkpoints."""
        named = dict(self.bert.named_variables())
        for head in self._heads():
            named |= head.named_variables()
        return named


class BertWithLabels(BertWithHead):
    """A model with a score for each label.

    Args:
      config: the encoder's config.
      labels: their names in the order of their ids, or their number.
      recompute: see `encoder.BertModel`.
      **options: of `keras.Model`: `name`, `dtype`, `trainable`.

    Raises:
      InputError: there are no labels.
    """

    def __init__(
        self, config: BertConfig, labels: int | Sequence[str], recompute: bool = False, **options: Any
    ) -> None:
        super().__init__(config, recompute, **options)
        self.number_of_labels = labels if isinstance(labels, int) else len(labels)
        self._labels = None if isinstance(labels, int) else [str(label) for label in labels]
        if self.number_of_labels < 1:
            raise InputError(f"labels={labels!r}; a model needs at least one.")

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels in the order of their ids; empty if they have none."""
        return tuple(self._labels or ())

    def get_config(self) -> dict[str, Any]:
        """For Keras's serialization."""
        return {**super().get_config(), "labels": list(self._labels) if self._labels else self.number_of_labels}
