"""The configuration of LoRA, from Python and by flags."""

import pytest

from bert_tf2.configs.lora import KERNELS, Lora
from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.config import FinetuningConfig


def config(**flags) -> FinetuningConfig:
    return FinetuningConfig(output_dir="o", do_train=True, **flags)


def test_defaults_and_order() -> None:
    assert Lora(4) == Lora(4, 4, ("value", "query"))
    assert Lora(4).scale == 1
    assert Lora(8, 16).scale == 2
    assert Lora(8, 2, tuple(reversed(KERNELS))).layers == tuple(KERNELS)
    assert Lora(**Lora(8, 16, ("key",)).to_dict()) == Lora(8, 16, ("key",))


def test_flags() -> None:
    assert config().lora is None
    assert config(lora_rank=8).lora == Lora(8)
    lora = config(lora_rank=8, lora_alpha=16.0, lora_layers=" output, query,").lora
    assert lora == Lora(8, 16, ("query", "output"))
    assert lora.flags == "--lora_rank=8 --lora_alpha=16 --lora_layers=query,output"
    assert str(lora) == "LoRA of rank 8 (alpha 16) on query, output"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"lora_rank": -1}, "--lora_rank=-1; it must be at least 0"),
        ({"lora_alpha": 8.0}, "--lora_alpha needs --lora_rank"),
        ({"lora_layers": "key"}, "--lora_layers needs --lora_rank"),
        ({"lora_rank": 8, "lora_alpha": 0.0}, "--lora_alpha=0.0; it must be above 0"),
        (
            {"lora_rank": 8, "lora_layers": "query,pooler"},
            "Unknown layer for LoRA, 'pooler'; choose one or more of query",
        ),
        ({"lora_rank": 8, "lora_layers": " "}, "No layers for LoRA; choose one or more of query, key, value"),
    ],
)
def test_flags_that_are_refused(flags, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        config(**flags)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [((0,), "A rank of 0 for LoRA"), ((1, -2.0), "An alpha of -2 for LoRA"), ((1, float("nan")), "An alpha of nan")],
)
def test_invalid_values(arguments, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Lora(*arguments)
