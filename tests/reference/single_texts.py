"""Instances of one text, `[CLS] text [SEP]`, with strings and lists: the reference for the compiled code."""

import random
from collections.abc import Sequence

from reference.instances import Segment, TrainingInstance, mask_tokens

from bert_tf2.pretraining_data.instances import InstanceParameters


def line_by_line(
    lines: Sequence[Segment],
    vocab_words: Sequence[str],
    parameters: InstanceParameters,
    rng: random.Random,
    split: bool = False,
) -> list[TrainingInstance]:
    """An instance of each line in each pass, shuffled; lines that are too long are truncated, or split into several."""
    room = parameters.max_seq_length - 2
    texts: list[Segment] = []
    for line in lines:
        texts += [line[start : start + room] for start in range(0, len(line), room)] if split else [line[:room]]
    instances = []
    for _ in range(parameters.dupe_factor):
        for text in texts:
            tokens = ["[CLS]", *text, "[SEP]"]
            masked, positions = mask_tokens(tokens, vocab_words, parameters, rng)
            labels = [tokens[position] for position in positions]
            instances.append(TrainingInstance(masked, [0] * len(tokens), False, positions, labels))
    rng.shuffle(instances)
    return instances
