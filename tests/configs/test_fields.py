"""Settings: values that are refused, numbers that are not finite, and flags that would be ignored."""

import ast
import dataclasses
import importlib
import math
import re
from pathlib import Path
from typing import Literal

import pytest

import bert_tf2
from bert_tf2.configs.fields import MOST_SEED, check, check_has_effect, flags_of, is_required, setting, type_of
from bert_tf2.configs.training import (
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    LoopConfig,
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
)
from bert_tf2.errors import InputError
from bert_tf2.export.config import ExportConfig
from bert_tf2.pretraining_data.config import PretrainingDataConfig
from bert_tf2.pretraining_data.instances import InstanceParameters
from bert_tf2.tasks.classification.config import ClassificationConfig
from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.multiple_choice.config import MultipleChoiceConfig
from bert_tf2.tasks.pretraining.config import PretrainingConfig
from bert_tf2.tasks.squad.answers import AnswerParameters
from bert_tf2.tasks.squad.config import SquadConfig
from bert_tf2.tasks.tagging.config import TaggingConfig
from bert_tf2.tokenization.vocab_runner import VocabularyConfig
from bert_tf2.training import optimizers, precision, schedules

FINETUNING = {"output_dir": "o", "do_train": True, "do_eval": True}
PRETRAINING = {"bert_config_file": "c", "input_file": "i", "output_dir": "o", "do_train": True, "num_warmup_steps": 1}
# The required values of each config that has a float.
CONFIGS = {
    AnswerParameters: {},
    ClassificationConfig: FINETUNING,
    ExportConfig: {"export_dir": "e", "output_dir": "o"},
    FinetuningConfig: FINETUNING,
    InstanceParameters: {},
    MultipleChoiceConfig: FINETUNING,
    OptimizerConfig: {},
    PretrainingConfig: PRETRAINING,
    RunConfig: FINETUNING,
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


def test_all_configs_are_tested() -> None:
    """Every class named Config or Parameters that has a float field is in the table or has its own check."""
    others = {"BertConfig", "DataConfig"}  # read from a JSON file; part of ClassificationConfig
    with_floats = set()
    root = Path(bert_tf2.__file__).parent
    for path in root.rglob("*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        names = [node.name for node in body if isinstance(node, ast.ClassDef)]
        for name in names:
            if name.endswith(("Config", "Parameters")):
                module = importlib.import_module(".".join(path.relative_to(root.parent).with_suffix("").parts))
                config = getattr(module, name)
                if any(float in (f.type, *getattr(f.type, "__args__", ())) for f in dataclasses.fields(config)):
                    with_floats.add(name)
    assert with_floats == {config.__name__ for config in CONFIGS} | others


@pytest.mark.parametrize(("config", "name"), FLOATS, ids=lambda value: getattr(value, "__name__", value))
def test_floats_are_numbers(config, name: str) -> None:
    flags = CONFIGS[config]
    with pytest.raises(InputError, match=f"--{name}=nan; it must be a number"):
        config(**{**flags, name: math.nan})
    for value in (math.inf, -math.inf, 1e39):
        if name == "null_score_diff_threshold":  # allowed: "always" and "never" answer
            config(**{**flags, name: value})
        else:
            sentence = f"--{name}={value}; it must be a finite number, at most 3.4e+38"
            with pytest.raises(InputError, match=re.escape(sentence)):
                config(**{**flags, name: value})


@dataclasses.dataclass(frozen=True)
class Some:
    """A setting of each kind."""

    name: str = setting(help="Of it.")
    kind: Literal["a", "b"] | None = setting(None, choices=("a", "b"))
    seed: int = setting(0, at_least=0, at_most=MOST_SEED)
    length: int | None = setting(None, at_least=3, at_most=512)
    steps: int = 1
    is_wanted: bool = True
    share: float | None = setting(None, at_least=0, at_most=1)
    rate: float = setting(1.0, above=0)
    decay: float = setting(0.5, at_least=0, below=1)
    scale: float = setting(1.0, above=0, at_most=1)
    most: float = setting(1.0, at_most=1_000_000)
    threshold: float = setting(0.0, may_be_infinite=True)
    inner: LoopConfig = dataclasses.field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    "values",
    [
        {"seed": 2**32 - 1, "length": 3, "steps": 2**31 - 1, "kind": "b"},
        {"steps": -(2**31), "length": 512, "rate": 3.4e38, "share": 0.0, "decay": 0, "scale": 1},
        {"threshold": -math.inf, "share": 1.0, "decay": 0.999, "most": 1e6},
    ],
)
def test_valid_values(values) -> None:
    Some("x", **values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"kind": "c"}, "Unknown --kind 'c'; choose one of a, b."),
        ({"seed": 2**32}, "--seed=4294967296; it must be at most 4294967295."),
        ({"seed": -1}, "--seed=-1; it must be at least 0."),
        ({"length": 2}, "--length=2; it must be at least 3."),
        ({"length": 2**31}, "--length=2147483648; it must be at most 512."),
        ({"steps": 2**31}, "--steps=2147483648; it must be at most 2147483647."),
        ({"steps": -(2**40)}, "--steps=-1099511627776; it must be at least -2147483648."),
        ({"steps": 10**5000}, "--steps=a number of more than 38 digits; it must be at most 2147483647."),
        ({"share": 1.5}, "--share=1.5; it must be between 0 and 1."),
        ({"share": math.nan}, "--share=nan; it must be a number."),
        ({"rate": 0.0}, "--rate=0.0; it must be above 0."),
        ({"rate": 0}, "--rate=0; it must be above 0."),
        ({"rate": math.inf}, "--rate=inf; it must be a finite number, at most 3.4e+38 (float32)."),
        ({"decay": 1.0}, "--decay=1.0; it must be at least 0 and below 1."),
        ({"scale": 0.0}, "--scale=0.0; it must be above 0 and at most 1."),
        ({"most": 1e7}, "--most=10000000.0; it must be at most 1,000,000."),
        ({"threshold": math.nan}, "--threshold=nan; it must be a number."),
    ],
)
def test_invalid_values(values, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        Some("x", **values)


def test_flags_of_a_dataclass() -> None:
    types_of = {field.name: type_of(field) for field, _ in flags_of(Some)}
    expected = {"name": str, "kind": str, "seed": int, "length": int, "is_wanted": bool, "share": float, "rate": float}
    assert {name: types_of[name] for name in expected} == expected
    assert types_of["log_steps"] is int  # of the nested dataclass
    assert "inner" not in types_of
    assert [field.name for field, _ in flags_of(Some) if is_required(field)] == ["name"]


def test_every_choice_is_known() -> None:
    """The names that flags can have, and the code that implements them."""
    assert tuple(optimizers.OPTIMIZERS) == OPTIMIZERS
    assert {*precision._POLICIES, "auto"} == {*PRECISIONS}
    for name in SCHEDULES:
        schedules.make_schedule(name, 1.0, 2, 0)(0)


BOTH = "needs --do_train and --do_eval, as it controls evaluation during training"


@pytest.mark.parametrize(
    ("config", "flags", "sentence"),
    [
        (FinetuningConfig, {"do_eval": False, "metric_for_best": "loss"}, f"--metric_for_best {BOTH}"),
        (FinetuningConfig, {"do_train": False, "metric_for_best": "loss"}, f"--metric_for_best {BOTH}"),
        (FinetuningConfig, {"do_eval": False, "eval_every_steps": 10}, f"--eval_every_steps {BOTH}"),
        (FinetuningConfig, {"do_eval": False, "early_stopping_patience": 2}, f"--early_stopping_patience {BOTH}"),
        (PretrainingConfig, {"eval_every_steps": 10}, f"--eval_every_steps {BOTH}"),
        (
            PretrainingConfig,
            {"vocab_file": "vocab.txt", "do_train": False, "do_eval": True},
            "--vocab_file has no effect on the evaluation of records that are already masked",
        ),
        (
            PretrainingConfig,
            {"spm_model_file": "m", "do_train": False, "do_eval": True},
            "--spm_model_file has no effect on the evaluation of records that are already masked",
        ),
        (PretrainingConfig, {"predict_file": "lines.txt"}, "--predict_file needs --do_predict"),
        (PretrainingDataConfig, {"runner": "DirectRunner", "num_workers": 2}, "--num_workers is for local processes"),
        (ExportConfig, {"batch_size": 8}, "--batch_size is for the measurement of --quantize=int8"),
        (ExportConfig, {"format": "encoder", "text_pairs": True}, "--text_pairs is for classifiers"),
    ],
)
def test_flags_without_effect_are_refused(config, flags, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        config(**{**CONFIGS[config], **flags})


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"spm_model_type": "bpe"}, "--spm_model_type needs --type=sentencepiece"),
        ({"extend": __file__, "vocab_size": 99}, "--vocab_size is for a new vocabulary; --extend keeps all pieces"),
        ({"extend": __file__, "num_unused": 0}, "--num_unused is for a new vocabulary"),
        ({"extend": __file__, "limit_alphabet": 9}, "--limit_alphabet is for a new vocabulary"),
    ],
)
def test_flags_of_vocabularies_without_effect_are_refused(flags, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        VocabularyConfig(input_file=__file__, output_file="v.txt", **flags)


def test_defaults_are_never_refused() -> None:
    config = VocabularyConfig(input_file=__file__, output_file="v.txt")
    for part in (config, config.tokenizer):
        fields = [field for field in dataclasses.fields(part) if not dataclasses.is_dataclass(field.type)]
        check_has_effect(part, tuple(field.name for field in fields if not is_required(field)), False, "is refused")
