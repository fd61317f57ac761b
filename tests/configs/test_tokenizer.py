"""Flags of tokenizers: if omitted, as in the model's directory, or the original's defaults."""

import dataclasses

from bert_tf2.configs.fields import Setting
from bert_tf2.configs.tokenizer import PLAIN, TextTokenizerConfig, TokenizerConfig, TokenizerOptions
from bert_tf2.pretraining_data.config import PretrainingDataConfig
from bert_tf2.tasks.classification.config import ClassificationConfig
from bert_tf2.tokenization.vocab_runner import VocabularyConfig


def test_help_of_commands_without_a_model_mentions_none() -> None:
    for command, config in (
        (PretrainingDataConfig, TextTokenizerConfig),
        (VocabularyConfig, TextTokenizerConfig),
        (ClassificationConfig, TokenizerConfig),
    ):
        assert next(field.type for field in dataclasses.fields(command) if field.name == "tokenizer") is config
        for field in dataclasses.fields(config):
            assert ("model" in Setting.of(field).help) == (config is TokenizerConfig), field.name
    assert [field.name for field in dataclasses.fields(TextTokenizerConfig)] == [
        field.name for field in dataclasses.fields(TokenizerConfig)
    ]


def test_both_configs_are_equivalent() -> None:
    for config in (TokenizerConfig, TextTokenizerConfig):
        assert config().over(PLAIN) == PLAIN
        options = config(strip_accents=False, never_split="[a], b").over(PLAIN)
        assert options == TokenizerOptions(strip_accents=False, never_split=("[a]", "b"))
