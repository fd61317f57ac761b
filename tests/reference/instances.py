"""Documents to masked, paired pre-training instances, with strings and lists: the reference for the compiled code.

Follows create_pretraining_data.py of google-research/bert (commit eedf571), draw for draw: the same documents and the
same state of the random number generator give the same instances in the same order. The order of the draws below may
look arbitrary, but is part of the definition.

A segment is one line's tokens, a document is a list of segments.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from reference.sequences import truncate_pair

from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.tokenization.sequences import CLS, MASK, SEP, join_pair, pad
from bert_tf2.tokenization.wordpiece import FullTokenizer

Segment = Sequence[str]
Document = Sequence[Segment]


@dataclass(frozen=True, slots=True)
class TrainingInstance:
    """One example of both pre-training tasks.

    Attributes:
      tokens: `[CLS] a [SEP] b [SEP]` with the masked positions already replaced, at most `max_seq_length`.
      segment_ids: 0 for `[CLS] a [SEP]`, 1 for `b [SEP]`; as long as `tokens`.
      is_random_next: whether `b` was drawn at random and does not follow `a`.
      masked_lm_positions: indices of the tokens to predict, ascending.
      masked_lm_labels: the original tokens at these positions.
    """

    tokens: list[str]
    segment_ids: list[int]
    is_random_next: bool
    masked_lm_positions: list[int]
    masked_lm_labels: list[str]


def read_documents(lines: Iterable[str], tokenize: Callable[[str], list[str]]) -> list[Document]:
    """The documents of a text with one sentence per line and an empty line between documents.

    Pass the concatenated lines of several files: the end of a file does not end a document. Lines without tokens and
    documents without lines are dropped.
    """
    documents: list[list[Segment]] = [[]]
    for line in lines:
        text = line.strip()
        if not text:
            documents.append([])
        elif tokens := tokenize(text):
            documents[-1].append(tokens)
    return [document for document in documents if document]


def _do_nothing() -> None:
    pass


def create_instances(
    documents: Iterable[Document],
    vocab_words: Sequence[str],
    parameters: InstanceParameters,
    rng: random.Random,
    after_document: Callable[[], None] = _do_nothing,
) -> list[TrainingInstance]:
    """All instances of a corpus, shuffled.

    Args:
      documents: the documents; neither they nor their segments may be empty.
      vocab_words: the vocabulary in its order, from which random replacements are drawn.
      parameters: the parameters of the instances.
      rng: the only source of randomness.
      after_document: called after each of the `dupe_factor * len(documents)` documents, to show progress.

    Returns:
      The instances in the order in which to write them.
    """
    shuffled = list(documents)
    rng.shuffle(shuffled)
    instances: list[TrainingInstance] = []
    for _ in range(parameters.dupe_factor):
        for index in range(len(shuffled)):
            for tokens_a, tokens_b, is_random_next in pairs_of_document(shuffled, index, parameters, rng):
                instances.append(_instance(tokens_a, tokens_b, is_random_next, vocab_words, parameters, rng))
            after_document()
    rng.shuffle(instances)
    return instances


def pairs_of_document(
    documents: Sequence[Document], index: int, parameters: InstanceParameters, rng: random.Random
) -> Iterator[tuple[list[str], list[str], bool]]:
    """Splits a document into pairs of texts, each as long as the target length or as the rest of the document.

    The draws for a pair are made when it is requested, so that those for its masks come before the next pair's.

    Args:
      documents: all documents; random second texts are taken from the others.
      index: the index of the document to split.
      parameters: the parameters of the instances.
      rng: source of randomness.

    Yields:
      tokens_a and tokens_b, each with at least one token and together at most `parameters.max_tokens`; and whether
      tokens_b was drawn at random.
    """
    document = documents[index]
    target = parameters.max_tokens
    if rng.random() < parameters.short_seq_prob:
        target = rng.randint(2, parameters.max_tokens)

    start = 0
    while start < len(document):
        end = _chunk_end(document, start, target)
        # a is document[start:middle], which is never empty; b is empty if the chunk is a single segment.
        middle = start + (rng.randint(1, end - start - 1) if end - start >= 2 else 1)
        tokens_a = _flat(document[start:middle])
        is_random_next = end - start == 1 or rng.random() < 0.5
        if is_random_next:
            tokens_b = _random_text(documents, index, target - len(tokens_a), rng)
            start = middle  # the segments that were not used begin the next chunk
        else:
            tokens_b = _flat(document[middle:end])
            start = end
        tokens_a, tokens_b = truncate_pair(tokens_a, tokens_b, parameters.max_tokens, lambda: rng.random() < 0.5)
        yield tokens_a, tokens_b, is_random_next


def _chunk_end(document: Document, start: int, target: int) -> int:
    """The end of the shortest run of segments from `start` on with at least `target` tokens; or the document's end."""
    length = 0
    for end in range(start, len(document)):
        length += len(document[end])
        if length >= target:
            return end + 1
    return len(document)


def _flat(segments: Iterable[Segment]) -> list[str]:
    return [token for segment in segments for token in segment]


def _random_text(documents: Sequence[Document], index: int, target: int, rng: random.Random) -> list[str]:
    """The tokens from a random segment on, until `target` tokens or the document's end; at least one segment.

    The document is not `index`, unless ten draws in a row are `index`, as in a corpus of a single document.
    """
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != index:
            break
    document = documents[other]
    start = rng.randint(0, len(document) - 1)
    return _flat(document[start : _chunk_end(document, start, target)])


def _instance(
    tokens_a: list[str],
    tokens_b: list[str],
    is_random_next: bool,
    vocab_words: Sequence[str],
    parameters: InstanceParameters,
    rng: random.Random,
) -> TrainingInstance:
    tokens, segment_ids = join_pair(tokens_a, tokens_b)
    masked, positions = mask_tokens(tokens, vocab_words, parameters, rng)
    return TrainingInstance(
        masked, segment_ids, is_random_next, positions, [tokens[position] for position in positions]
    )


def mask_tokens(
    tokens: Sequence[str], vocab_words: Sequence[str], parameters: InstanceParameters, rng: random.Random
) -> tuple[list[str], list[int]]:
    """Chooses tokens to predict and replaces them: 80 % by `[MASK]`, 10 % by themselves, 10 % by a random word.

    Args:
      tokens: the tokens of an instance, including special ones; `[CLS]` and `[SEP]` are never chosen.
      vocab_words: the words from which random replacements are drawn.
      parameters: the parameters of the instances.
      rng: source of randomness.

    Returns:
      masked: the tokens with the chosen ones replaced.
      positions: the chosen positions, ascending. With whole-word masking there may be none, if every word has more
        pieces than may be masked.
    """
    words = mask_candidates(tokens, parameters.do_whole_word_mask)
    rng.shuffle(words)
    limit = parameters.number_to_mask(len(tokens))

    masked = list(tokens)
    positions: list[int] = []
    for word in words:
        if len(positions) >= limit:
            break
        if len(positions) + len(word) > limit:
            continue  # too long; a later, shorter word may fit
        for position in word:
            masked[position] = _replacement(tokens[position], vocab_words, rng)
            positions.append(position)
    return masked, sorted(positions)


def mask_candidates(tokens: Sequence[str], whole_words: bool) -> list[list[int]]:
    """The positions that are masked together: single ones, or with `whole_words` those of each word.

    A `##` piece joins the candidate before it, even across a `[SEP]`: if truncation split a word at the beginning of
    the second text, its rest belongs to the last word of the first.
    """
    candidates: list[list[int]] = []
    for position, token in enumerate(tokens):
        if token in (CLS, SEP):
            continue
        if whole_words and candidates and token.startswith("##"):
            candidates[-1].append(position)
        else:
            candidates.append([position])
    return candidates


def _replacement(token: str, vocab_words: Sequence[str], rng: random.Random) -> str:
    if rng.random() < 0.8:
        return MASK
    if rng.random() < 0.5:
        return token
    return vocab_words[rng.randint(0, len(vocab_words) - 1)]


def instance_features(
    instance: TrainingInstance, tokenizer: FullTokenizer, parameters: InstanceParameters
) -> dict[str, Sequence[float]]:
    """The values of `records.pretraining` for an instance: ids of tokens, padded with 0."""
    length, predictions = parameters.max_seq_length, parameters.max_predictions_per_seq
    labels = instance.masked_lm_labels
    return {
        "input_ids": pad(tokenizer.convert_tokens_to_ids(instance.tokens), length, 0),
        "input_mask": pad([1] * len(instance.tokens), length, 0),
        "segment_ids": pad(instance.segment_ids, length, 0),
        "masked_lm_positions": pad(instance.masked_lm_positions, predictions, 0),
        "masked_lm_ids": pad(tokenizer.convert_tokens_to_ids(labels), predictions, 0),
        "masked_lm_weights": pad([1.0] * len(labels), predictions, 0.0),
        "next_sentence_labels": [int(instance.is_random_next)],
    }
