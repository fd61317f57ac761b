"""Values of flags: floats that are no numbers, and flags that would be ignored."""

import ast
import dataclasses
import importlib
import math
import re
from pathlib import Path

import pytest

import bert_tf2
from bert_tf2.errors import InputError
from bert_tf2.flag_values import MAY_BE_INFINITE, check_floats, check_has_effect
from bert_tf2.instances import InstanceParameters
from bert_tf2.optimization import OptimizerConfig
from bert_tf2.tasks.classification.config import ClassificationConfig
from bert_tf2.tasks.export.config import ExportConfig
from bert_tf2.tasks.finetuning_config import FinetuningConfig
from bert_tf2.tasks.pretraining_config import PretrainingConfig
from bert_tf2.tasks.pretraining_data import PretrainingDataConfig
from bert_tf2.tasks.squad.answers import AnswerParameters
from bert_tf2.tasks.squad.config import SquadConfig
from bert_tf2.tasks.tagging.config import TaggingConfig
from bert_tf2.tasks.vocabulary import VocabularyConfig
from bert_tf2.training import LoopConfig, TrainingConfig

FINETUNING = {"output_dir": "o", "do_train": True, "do_eval": True}
PRETRAINING = {"bert_config_file": "c", "input_file": "i", "output_dir": "o", "do_train": True, "num_warmup_steps": 1}
# What each config needs to be made; all that have a float.
CONFIGS = {
    AnswerParameters: {},
    ClassificationConfig: FINETUNING,
    ExportConfig: {"export_dir": "e", "output_dir": "o"},
    FinetuningConfig: FINETUNING,
    InstanceParameters: {},
    OptimizerConfig: {},
    PretrainingConfig: PRETRAINING,
    PretrainingDataConfig: {"input_file": __file__, "output_file": "o", "spm_model_file": "m"},
    SquadConfig: {**FINETUNING, "train_file": "t", "dev_file": "d"},
    TaggingConfig: FINETUNING,
    TrainingConfig: {"output_dir": "o", "num_train_steps": 1, "batch_size": 1},
}
FLOATS = [
    (config, field.name)
    for config in CONFIGS
    for field in dataclasses.fields(config)
    if float in (field.type, *getattr(field.type, "__args__", ()))
]


def test_no_config_is_missing_above() -> None:
    """Whatever is called Config or Parameters and has a float is in the table, or has a check of its own."""
    others = {"BertConfig", "DataConfig"}  # of a JSON file; and part of ClassificationConfig
    found = set()
    root = Path(bert_tf2.__file__).parent
    for path in root.rglob("*.py"):
        names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
        for name in names:
            if name.endswith(("Config", "Parameters")):
                module = importlib.import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
                config = getattr(module, name)
                if any(float in (f.type, *getattr(f.type, "__args__", ())) for f in dataclasses.fields(config)):
                    found.add(name)
    assert found == {config.__name__ for config in CONFIGS} | others


@pytest.mark.parametrize(("config", "name"), FLOATS, ids=lambda value: getattr(value, "__name__", value))
def test_floats_are_numbers(config, name: str) -> None:
    flags = CONFIGS[config]
    with pytest.raises(InputError, match=f"--{name}=nan; it must be a number"):
        config(**{**flags, name: math.nan})
    for value in (math.inf, -math.inf, 1e39):
        if name == "null_score_diff_threshold":  # "always" and "never" are answers
            config(**{**flags, name: value})
        else:
            sentence = f"--{name}={value}; it must be a finite number, at most 3.4e+38"
            with pytest.raises(InputError, match=re.escape(sentence)):
                config(**{**flags, name: value})


def test_metadata_and_other_types() -> None:
    @dataclasses.dataclass(frozen=True)
    class Some(LoopConfig):
        share: float | None = None
        least: float = dataclasses.field(default=0.0, metadata=MAY_BE_INFINITE)

    assert Some(share=3.4e38, least=-math.inf, log_steps=2).share == 3.4e38
    check_floats(Some(least=math.inf))
    with pytest.raises(InputError, match="--share=inf"):
        Some(share=math.inf)


BOTH = "needs --do_train and --do_eval: it is about the evaluations of a training"


@pytest.mark.parametrize(
    ("config", "flags", "sentence"),
    [
        (FinetuningConfig, {"do_eval": False, "metric_for_best": "loss"}, f"--metric_for_best {BOTH}"),
        (FinetuningConfig, {"do_train": False, "metric_for_best": "loss"}, f"--metric_for_best {BOTH}"),
        (FinetuningConfig, {"do_eval": False, "eval_every_steps": 10}, f"--eval_every_steps {BOTH}"),
        (FinetuningConfig, {"do_eval": False, "early_stopping_patience": 2}, f"--early_stopping_patience {BOTH}"),
        (PretrainingConfig, {"eval_every_steps": 10}, f"--eval_every_steps {BOTH}"),
        (PretrainingConfig, {"predict_file": "lines.txt"}, "--predict_file needs --do_predict"),
        (ExportConfig, {"batch_size": 8}, "--batch_size is for the measurement of --quantize=int8"),
        (ExportConfig, {"format": "encoder", "text_pairs": True}, "--text_pairs is for classifiers"),
    ],
)
def test_flags_that_would_be_ignored(config, flags, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        config(**{**CONFIGS[config], **flags})


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"spm_model_type": "bpe"}, "--spm_model_type needs --type=sentencepiece"),
        ({"extend": __file__, "vocab_size": 99}, "--vocab_size is for a new vocabulary: --extend keeps all pieces"),
        ({"extend": __file__, "num_unused": 0}, "--num_unused is for a new vocabulary"),
        ({"extend": __file__, "limit_alphabet": 9}, "--limit_alphabet is for a new vocabulary"),
    ],
)
def test_flags_of_vocabularies_that_would_be_ignored(flags, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        VocabularyConfig(input_file=__file__, output_file="v.txt", **flags)


def test_defaults_are_never_refused() -> None:
    config = VocabularyConfig(input_file=__file__, output_file="v.txt")
    check_has_effect(config, tuple(field.name for field in dataclasses.fields(config))[2:], False, "is refused")
