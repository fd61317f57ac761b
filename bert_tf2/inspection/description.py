"""What a model is: its architecture, vocabulary, weights and head, from its files alone."""

import dataclasses
import os
from collections import Counter
from typing import Any

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import huggingface, model_garden, task_metadata
from bert_tf2.checkpoints.huggingface_config import default_labels
from bert_tf2.checkpoints.model_source import Source
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import MOST_NAMED, counted, some
from bert_tf2.modeling import summary

MASKED_LM, NEXT_SENTENCE, SPAN = "masked_lm", "next_sentence", "span"
CLASSIFIER, TAGGER, MULTIPLE_CHOICE = huggingface.OF_ONE_NAME
NAMES = {
    MASKED_LM: "masked language model",
    NEXT_SENTENCE: "next sentence",
    CLASSIFIER: "classifier",
    TAGGER: "tagger",
    MULTIPLE_CHOICE: "multiple choice",
    SPAN: "question answering",
}
_NOT_BERT = "not known to be part of a BERT model"
_BYTES_OF_A_NUMBER = 4  # float32, in which weights are loaded


@dataclasses.dataclass(frozen=True)
class ModelDescription:
    """A model.

    Attributes:
      weights: the checkpoint's prefix, or the file of its weights.
      format: what that is, in words.
      config: the encoder's.
      heads: what is on the encoder, of `huggingface.HEADS`; empty for the encoder alone.
      task: what it was fine-tuned for, by its `task.json`; None if that is not known.
      problem_type: of a classifier: `single_label`, `multi_label` or `regression`; else None.
      labels: of a classifier or a tagger, in the order of their ids.
      vocabulary: path of its vocabulary; None without one.
      tokenizer: "WordPiece" or "SentencePiece"; None without a vocabulary.
      pieces: how many the vocabulary has; None without one.
      lower_cased: whether text is lower-cased.
      strips_accents: whether accents are stripped.
      blocks: parameters of each block; see `modeling.summary.blocks`.
      others: what else the checkpoint has, in words, and how many variables of it.
    """

    weights: str
    format: str
    config: BertConfig
    heads: tuple[str, ...]
    task: str | None
    problem_type: str | None
    labels: tuple[str, ...]
    vocabulary: str | None
    tokenizer: str | None
    pieces: int | None
    lower_cased: bool | None
    strips_accents: bool | None
    blocks: tuple[tuple[str, int], ...]
    others: tuple[tuple[str, int], ...]

    @property
    def parameters(self) -> int:
        """Numbers in all weights."""
        return self.blocks[-1][1]

    @property
    def bytes(self) -> int:
        """What they take in memory, in float32."""
        return _BYTES_OF_A_NUMBER * self.parameters

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            **values,
            "config": self.config.to_dict(),
            "heads": list(self.heads),
            "labels": list(self.labels),
            "others": dict(self.others),
            "blocks": [{"name": name.strip(), "depth": _depth(name), "parameters": n} for name, n in self.blocks],
            "parameters": self.parameters,
            "bytes": self.bytes,
        }

    def title(self) -> str:
        """One line: what it is."""
        config = self.config
        head = " and ".join(NAMES[head] for head in self.heads) or "no head"
        return (
            f"BERT, {counted(config.num_hidden_layers, 'layer')} of {config.hidden_size}, "
            f"{counted(config.num_attention_heads, 'head')} each; {head}"
        )

    def to_table(self) -> str:
        """All of it on one screen."""
        config = self.config
        heads = counted(config.num_attention_heads, "head")
        rows = [
            ("weights", self.weights),
            ("format", self.format),
            ("layers", str(config.num_hidden_layers)),
            ("hidden size", f"{config.hidden_size}, {heads} of {config.head_size}"),
            ("feed-forward", f"{config.intermediate_size:,}, {config.hidden_act}"),
            ("positions", f"{config.max_position_embeddings:,}"),
            ("segment types", str(config.type_vocab_size)),
            ("vocabulary", self._vocabulary()),
            ("text", self._case()),
            ("head", self._head()),
            *([("labels", f"{len(self.labels):,}: {some(self.labels, MOST_NAMED)}")] if self.labels else []),
            ("parameters", f"{self.parameters:,}, {self.bytes / 1e6:,.1f} MB in float32"),
        ]
        rows += [("besides", f"{counted(count, 'variable')}: {what}") for what, count in self.others]
        lines = [f"{name:<15}{text}" for name, text in rows]
        return "\n".join([*lines, "", *summary.table(self.blocks)])

    def _vocabulary(self) -> str:
        if self.pieces is None:
            return f"{self.config.vocab_size:,} pieces; their names are not beside the checkpoint (give --vocab_file)"
        rows = self.config.vocab_size
        room = f" ({rows:,} rows of embeddings)" if rows != self.pieces else ""
        return f"{self.pieces:,} pieces of {self.tokenizer}{room}, {self.vocabulary}"

    def _case(self) -> str:
        if self.lower_cased is None:
            return "not known without a vocabulary"
        case = "lower-cased (uncased model)" if self.lower_cased else "keeps its case (cased model)"
        return f"{case}, accents {'stripped' if self.strips_accents else 'kept'}"

    def _head(self) -> str:
        text = ", ".join(NAMES[head] for head in self.heads) or "none: the encoder alone"
        about = [each for each in (self.problem_type, f"task {self.task}" if self.task else None) if each]
        return f"{text} ({', '.join(about)})" if about else text


def _depth(name: str) -> int:
    return (len(name) - len(name.lstrip())) // 2


def describe(source: Source, foundation: Pretrained | None) -> ModelDescription:
    """Describes a model without reading its weights.

    Args:
      source: the model.
      foundation: its vocabulary and case; None where there is no vocabulary.

    Raises:
      InputError: the vocabulary or `task.json` cannot be read.
    """
    names = source.own_names
    tokenizer = foundation.tokenizer(foundation.do_lower_case) if foundation else None
    vocabulary = foundation.vocabulary if foundation else None
    heads = heads_of(source)
    has_labels = CLASSIFIER in heads or TAGGER in heads
    task = task_metadata.setting(source.folder, "name", str)
    lower = foundation.do_lower_case if foundation else None
    return ModelDescription(
        weights=source.weights,
        format=_format(source),
        config=source.config,
        heads=heads,
        task=task,
        problem_type=problem_type_of(source) if CLASSIFIER in heads else None,
        labels=labels_of(source) if has_labels else (),
        vocabulary=vocabulary.path if vocabulary else None,
        tokenizer=("SentencePiece" if vocabulary.is_sentencepiece else "WordPiece") if vocabulary else None,
        pieces=len(tokenizer.vocab) if tokenizer else None,
        lower_cased=lower,
        strips_accents=vocabulary.options.strips_accents(bool(lower)) if vocabulary else None,
        blocks=tuple(summary.blocks(source.config, {name: source.shapes[name] for name in names})),
        others=tuple(Counter([*source.left_out.values(), *(_NOT_BERT for _ in source.unplaced)]).items()),
    )


def heads_of(source: Source) -> tuple[str, ...]:
    """The heads that a model has and that BERT can have; a masked-LM head with an untied decoder does not count.

    Returns:
      Names of `huggingface.HEADS`, in their order there.
    """
    heads = huggingface.heads_of(source.own_names, source.classifier or CLASSIFIER)
    if source.untied:
        heads -= {MASKED_LM}
    return tuple(head for head in huggingface.HEADS if head in heads)


def problem_type_of(source: Source) -> str:
    """What a classifier's scores are; of one score, where its files do not say it, a number."""
    return source.problem_type or ("regression" if source.shapes["output_bias"][0] == 1 else "single_label")


def labels_of(source: Source) -> tuple[str, ...]:
    """The labels of a classifier or a tagger; `LABEL_0`, ... where its files do not name them. None for regression."""
    if problem_type_of(source) == "regression" and (source.classifier or CLASSIFIER) == CLASSIFIER:
        return ()
    count = source.shapes["output_bias"][0]
    return source.labels if len(source.labels) == count else default_labels(count)


def _format(source: Source) -> str:
    if source.format == "huggingface":
        return f"Hugging Face directory, {os.path.basename(source.weights)}"
    if source.folder != os.path.dirname(source.weights):  # but the assets of a SavedModel
        return "SavedModel of TensorFlow Hub"
    if isinstance(checkpoints.open_reader(source.weights), model_garden.Renamed):
        return "checkpoint of the TensorFlow Model Garden"
    return "checkpoint under Google's names"
