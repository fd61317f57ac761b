"""Opening a model to inspect: its description, and what it does with a text.

Shapes: `L` layers, `N` heads, `S` pieces of a sequence, `V` vocabulary, `H` hidden.
"""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, Self, cast

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import huggingface, model_source, pretrained
from bert_tf2.checkpoints.model_source import Source
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.configs.choices import ProblemType
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.errors import InputError, counted, some
from bert_tf2.inspection import answers, description, nearest, pieces
from bert_tf2.inspection.description import CLASSIFIER, MASKED_LM, NEXT_SENTENCE, SPAN, TAGGER, ModelDescription
from bert_tf2.inspection.nearest import Neighbors
from bert_tf2.inspection.pieces import TextPieces
from bert_tf2.inspection.results import Answer, Attention, Inspection, LabelProbability, MaskPrediction, Tag
from bert_tf2.inspection.scoring import Score, Scorer
from bert_tf2.io import file_system
from bert_tf2.metrics.finite import check_finite
from bert_tf2.modeling.classifier import ClassificationModel
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.modeling.pretraining import PretrainingModel
from bert_tf2.modeling.question_answering import SpanModel
from bert_tf2.modeling.tagger import TaggingModel
from bert_tf2.tasks.pretraining.fill_mask import MaskFiller
from bert_tf2.tokenization.auto import Tokenizer
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.sequences import MASK

logger = logging.getLogger(__name__)

_WORDS = "bert/embeddings/word_embeddings"
_POOLER = "bert/pooler/"
_THE_TEXT = "The text"

Network = PretrainingModel | ClassificationModel | TaggingModel | SpanModel | BertModel


class Inspector:
    """A model from any checkpoint, whose weights are loaded on first use.

    Example:
      >>> inspector = Inspector.open("bert-base-uncased")
      >>> print(inspector.description.to_table())
      >>> inspector.inspect("The capital of France is [MASK].").masks[0].candidates[0].token
      'paris'
      >>> inspector.attention("The cat sat.").probabilities.shape
      (12, 12, 6, 6)

    Args:
      source: the model.
      find_foundation: finds its vocabulary and case.
      checkpoint: the path of its weights, for `pretrained.load`.
      num_hidden_layers: see `pretrained.load`.
      top_k: the number of predictions for each `[MASK]`, and of answers to a question.
    """

    def __init__(
        self,
        source: Source,
        find_foundation: Callable[[], Pretrained],
        checkpoint: str,
        num_hidden_layers: int | None = None,
        top_k: int = 10,
    ) -> None:
        self.source, self.checkpoint, self._find_foundation = source, checkpoint, find_foundation
        self._num_hidden_layers, self._top_k = num_hidden_layers, top_k

    @classmethod
    def open(
        cls,
        init_checkpoint: str,
        *,
        bert_config_file: str | None = None,
        vocab_file: str | None = None,
        spm_model_file: str | None = None,
        do_lower_case: bool | None = None,
        tokenizer: TokenizerConfig | None = None,
        num_hidden_layers: int | None = None,
        top_k: int = 10,
    ) -> Self:
        """Opens a model.

        Args:
          init_checkpoint: as for `--init_checkpoint`: a checkpoint or directory of the original BERT, the output
            directory of a training run, a Hugging Face directory, or the name of a public model.
          bert_config_file, vocab_file, spm_model_file, do_lower_case, tokenizer: values to use instead of those in the
            model's directory.
          num_hidden_layers: how many layers to use, counted from the first; None for all.
          top_k: the number of predictions for each `[MASK]`, and of answers to a question.

        Raises:
          InputError: there is no such model, or it cannot be read.
        """
        source = model_source.open_source(init_checkpoint, bert_config_file, num_hidden_layers)

        def foundation() -> Pretrained:
            vocabulary = pretrained.find_vocabulary(init_checkpoint, vocab_file, spm_model_file, tokenizer=tokenizer)
            names = vocabulary.tokenizer(do_lower_case=False).vocab
            lower = pretrained.find_do_lower_case(init_checkpoint, do_lower_case, pieces=names)
            return Pretrained(source.config, vocabulary, lower, init_checkpoint)

        return cls(source, foundation, init_checkpoint, num_hidden_layers, top_k)

    # --- Description -------------------------------------------------------------------------------------------------

    @functools.cached_property
    def description(self) -> ModelDescription:
        """The description of the model; without the vocabulary, with a warning, if that cannot be found.

        Raises:
          InputError: a file of the model cannot be read.
        """
        try:
            foundation: Pretrained | None = self._foundation
        except InputError as error:
            logger.warning("%s", error)
            foundation = None
        return description.describe(self.source, foundation)

    def identity(self) -> dict[str, Any]:
        """Everything that the model's results depend on, for JSON: weights, config, vocabulary, tokenizer options.

        Raises:
          InputError: a file cannot be read.
        """
        vocabulary = self._foundation.vocabulary
        weights = next(filter(file_system.isfile, (self.source.weights, f"{self.source.weights}.index")))
        return {
            "weights": [
                file_system.realpath(weights),
                file_system.getsize(weights),
                file_system.stat(weights).st_mtime_ns,
            ],
            "bert_config": self.source.config.to_dict(),
            "vocabulary": hashlib.sha256(vocabulary.content()).hexdigest(),
            "do_lower_case": self._foundation.do_lower_case,
            **dataclasses.asdict(vocabulary.options),
        }

    @functools.cached_property
    def _foundation(self) -> Pretrained:
        return self._find_foundation()

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer.

        Raises:
          InputError: there is no vocabulary, or it does not fit the model.
        """
        return self._foundation.tokenizer(self._foundation.do_lower_case)

    @functools.cached_property
    def _heads(self) -> tuple[str, ...]:
        return description.heads_of(self.source)

    @functools.cached_property
    def _network(self) -> Network:
        """The model, with the head that `inspect` uses, if there is one, and its weights."""
        config, model, head = self.source.config, cast(Network, None), None
        if MASKED_LM in self._heads:
            model = PretrainingModel(config, with_next_sentence=NEXT_SENTENCE in self._heads)
        elif CLASSIFIER in self._heads:
            outputs, head = self.source.shapes["output_bias"][0], CLASSIFIER
            model = ClassificationModel(config, outputs, cast(ProblemType, description.problem_type_of(self.source)))
        elif TAGGER in self._heads:
            model, head = TaggingModel(config, self.source.shapes["output_bias"][0]), TAGGER
        elif SPAN in self._heads:
            model = SpanModel(config)
        elif NEXT_SENTENCE in self._heads:  # alone: the model's masked-LM head is not used
            model = PretrainingModel(config)
        else:
            model = BertModel(config)
        named = model.named_variables() if isinstance(model, BertModel) else cast(Any, model).named_variables
        unused = () if MASKED_LM in self._heads else tuple(huggingface.HEADS[MASKED_LM])
        variables = checkpoints.tf_variables({name: named[name] for name in named if name not in unused})
        report = model_source.load(variables, self.checkpoint, head, self._num_hidden_layers)
        has_pooler = head == CLASSIFIER or NEXT_SENTENCE in self._heads
        lacking = [n for n in (*report.missing, *report.mismatched) if has_pooler or not n.startswith(_POOLER)]
        if lacking:
            raise InputError(
                f"{report.prefix} lacks {some(lacking)}, or has it in another shape; the model is incomplete."
            )
        logger.info("Using the weights of %s.", report.prefix)
        return model

    @property
    def _encoder(self) -> BertModel:
        return self._network if isinstance(self._network, BertModel) else self._network.bert

    # --- Texts -------------------------------------------------------------------------------------------------------

    def pieces(self, text: str, text_b: str | None = None, where: str = _THE_TEXT) -> TextPieces:
        """The pieces of a text or a pair.

        Args:
          text: a text, in which `[MASK]` is the special token.
          text_b: the second text of a pair, or None.
          where: the name of the text in errors.

        Raises:
          InputError: the model does not have enough positions or segment types.
        """
        split = pieces.split(self.tokenizer, text, text_b)
        positions = self.source.config.max_position_embeddings
        if len(split.pieces) > positions:
            raise InputError(
                f"{where} has {len(split.pieces):,} pieces with [CLS] and [SEP], but the model has only "
                f"{counted(positions, 'position')} (max_position_embeddings); shorten it."
            )
        if text_b is not None and self.source.config.type_vocab_size < 2:
            raise InputError(f"{where} is a pair, but the model has only one segment type (type_vocab_size).")
        return split

    def inspect(self, text: str | TextPieces, text_b: str | None = None) -> Inspection:
        """The predictions of the model's heads for a text or a pair.

        Args:
          text: a text, see `pieces`; or the result of `pieces`.
          text_b: the second text of a pair, or None.

        Returns:
          The pieces; with a masked-LM head, the predictions for each `[MASK]`; with a next-sentence head, for a pair,
          the probability that the second text follows the first; the labels or the value of a classifier; the tags of a
          tagger; the best answers of a question-answering model, if the pair is a question and its context.

        Raises:
          InputError: the text is too long, or an output is not finite.
        """
        split = self.pieces(text, text_b) if isinstance(text, str) else text
        network, batch = self._network, _batch(split)
        if isinstance(network, PretrainingModel):
            return Inspection(split, masks=self._masks(split), follows=self._follows(network, split, batch))
        if isinstance(network, ClassificationModel):
            return self._classify(network, split, batch)
        if isinstance(network, TaggingModel):
            return Inspection(split, tags=self._tags(network, split, batch))
        if isinstance(network, SpanModel):
            return Inspection(split, answers=self._answers(split))
        return Inspection(split)

    def _masks(self, split: TextPieces) -> tuple[MaskPrediction, ...]:
        if not split.masks or MASKED_LM not in self._heads:
            return ()
        (candidates,) = self._filler.candidates([(split.tokens, split.segments.tolist())])
        return tuple(map(MaskPrediction, split.masks, candidates))

    @functools.cached_property
    def _filler(self) -> MaskFiller:
        model = cast(PretrainingModel, self._network)
        return MaskFiller(model, self.tokenizer, self.source.config.max_position_embeddings, _THE_TEXT, self._top_k)

    @staticmethod
    def _follows(network: PretrainingModel, split: TextPieces, batch: dict[str, tf.Tensor]) -> float | None:
        if split.text_b is None or network.next_sentence is None:
            return None
        _, logits = network.logits({**batch, "masked_lm_positions": tf.zeros([1, 1], tf.int32)})
        return float(_finite(tf.nn.softmax(logits))[0, 0])

    def _classify(self, network: ClassificationModel, split: TextPieces, batch: dict[str, tf.Tensor]) -> Inspection:
        logits, kind = network.logits(batch), description.problem_type_of(self.source)
        if kind == "regression":
            return Inspection(split, value=float(_finite(logits)[0, 0]))
        probabilities = _finite(tf.nn.softmax(logits) if kind == "single_label" else tf.sigmoid(logits))[0].tolist()
        return Inspection(split, labels=tuple(map(LabelProbability, self._labels, probabilities)))

    def _tags(self, network: TaggingModel, split: TextPieces, batch: dict[str, tf.Tensor]) -> tuple[Tag, ...]:
        """The most probable label of the first piece of each word."""
        probabilities = _finite(tf.nn.softmax(network.logits(batch)))  # [S, labels]
        words = [piece.word for piece in split.pieces]
        first_pieces = [words.index(word) for word in range(len(split.words))]
        best = probabilities[first_pieces].argmax(1)
        return tuple(
            Tag(word, self._labels[label], float(probabilities[position, label]))
            for word, (position, label) in enumerate(zip(first_pieces, best.tolist(), strict=True))
        )

    def _answers(self, split: TextPieces) -> tuple[Answer, ...]:
        if split.text_b is None or self._answer_finder is None:
            return ()
        return self._answer_finder.best(split.text, split.text_b)[: self._top_k]

    @functools.cached_property
    def _answer_finder(self) -> answers.AnswerFinder | None:
        """None for a SentencePiece vocabulary, which `run_squad.py` does not support, either."""
        if not isinstance(self.tokenizer, FastTokenizer):
            return None
        task = answers.task_description(self.source, self._foundation.do_lower_case)
        return answers.AnswerFinder(cast(SpanModel, self._network), self.tokenizer, task)

    @functools.cached_property
    def _labels(self) -> tuple[str, ...]:
        return description.labels_of(self.source)

    def attention(self, text: str | TextPieces, text_b: str | None = None) -> Attention:
        """The attention weights of every layer and head, as the model uses them.

        Args:
          text, text_b: see `inspect`.

        Raises:
          InputError: the text is too long, or a weight is not finite.
        """
        split = self.pieces(text, text_b) if isinstance(text, str) else text
        batch = _batch(split)
        layers = self._encoder.attention_probabilities(batch["input_ids"], batch["input_mask"], batch["segment_ids"])
        probabilities = np.stack([layer.numpy()[0] for layer in layers])  # [L, N, S, S]
        check_finite({"attention": probabilities})
        return Attention(split, probabilities)

    # --- Embeddings and scores ---------------------------------------------------------------------------------------

    def nearest(self, query: str, count: int = 10) -> Neighbors:
        """The pieces whose word embeddings are nearest to those of a piece or a word, by cosine; see `nearest.find`.

        Raises:
          InputError: the vocabulary has no piece for the query, or an embedding is not finite.
        """
        return nearest.find(self._word_embeddings, self.tokenizer, query, count)

    @functools.cached_property
    def _word_embeddings(self) -> NDArray[np.float32]:
        table = np.asarray(self.source.read(_WORDS), np.float32)
        check_finite({"word embeddings": table})
        return table

    def score(
        self, texts: Iterable[str | TextPieces], batch_size: int = 32, report: Callable[[int], None] = lambda rows: None
    ) -> list[Score]:
        """The log-probability of each piece of each text when only that piece is masked.

        Args:
          texts: texts, or the results of `pieces` for texts and pairs.
          batch_size: the number of sequences in a batch.
          report: called after each batch with its number of pieces.

        Returns:
          The score of each text, in the order of the texts.

        Raises:
          InputError: the model has no masked-LM head, a text is too long or has a `[MASK]`, or a logit is not finite.
        """
        self.check_scores()
        split = [self.pieces(text) if isinstance(text, str) else text for text in texts]
        for number, text in enumerate(split, 1):
            if text.masks:
                raise InputError(
                    f"Text {number} has a {MASK}; scoring masks each piece itself; give the text without it."
                )
        return self._scorer.score(split, batch_size, report)

    @functools.cached_property
    def _scorer(self) -> Scorer:
        return Scorer(cast(PretrainingModel, self._network), self.tokenizer.vocab[MASK])

    def _model_kind(self) -> str:
        if self.source.untied:
            return "a model whose decoder is not its word embeddings, as it is in BERT"
        names = [description.NAMES[head] for head in self._heads]
        return f"a model with the head {', '.join(names)}" if names else "an encoder alone"

    def check_scores(self) -> None:
        """Checks that the model can score texts.

        Raises:
          InputError: the model has no masked-LM head.
        """
        if MASKED_LM not in self._heads:
            raise InputError(
                f"--score: {self.source.weights} has no masked-LM head (it is {self._model_kind()}); give a "
                "pre-trained model that has one."
            )


def _batch(split: TextPieces) -> dict[str, tf.Tensor]:
    """A batch with a single sequence, int32 `[1, S]` each."""
    ids = tf.constant(split.ids[None])
    return {"input_ids": ids, "input_mask": tf.ones_like(ids), "segment_ids": tf.constant(split.segments[None])}


def _finite(values: tf.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.numpy()
    check_finite({"outputs": array})
    return array
