"""The flags of fine-tuning: step counts as in the original, and invalid values."""

import pytest

from bert_tf2.errors import InputError
from bert_tf2.tasks.finetuning.config import FinetuningConfig


def config(**flags) -> FinetuningConfig:
    return FinetuningConfig(**{"output_dir": "o", "do_train": True, "do_eval": True, **flags})


@pytest.mark.parametrize(
    ("examples", "batch", "epochs", "proportion", "steps", "warmup"),
    [
        (3668, 32, 3.0, 0.1, 343, 34),
        (100, 32, 1.0, 0.1, 3, 0),
        (8551, 16, 2.5, 0.06, 1336, 80),
        (10, 32, 0.0, 1.0, 0, 0),
    ],
)
def test_steps(examples: int, batch: int, epochs: float, proportion: float, steps: int, warmup: int) -> None:
    training = config(train_batch_size=batch, num_train_epochs=epochs, warmup_proportion=proportion)
    assert training.num_train_steps(examples) == int(examples / batch * epochs) == steps
    assert training.num_warmup_steps(examples) == warmup


def test_seeds() -> None:
    assert config(seeds="1, 2,30").all_seeds == (1, 2, 30)
    assert config().all_seeds == ()


def test_directories_of_model_and_weights() -> None:
    trained, used = config(use_best=True), config(use_best=True, do_train=False)
    assert (trained.model_dir, trained.weights_dir) == ("o", "o/best")
    assert (used.model_dir, used.weights_dir) == ("o/best", "o/best")
    assert (config().model_dir, config(do_train=False).weights_dir) == ("o", "o")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"do_train": False, "do_eval": False}, "Nothing to do: give --do_train, --do_eval, --do_predict or several"),
        ({"predict_batch_size": 0}, "--predict_batch_size=0; it must be at least 1"),
        ({"max_seq_length": 2}, "--max_seq_length=2; it must be at least 3"),
        ({"eval_every_steps": -1}, "--eval_every_steps=-1; it must be at least 0"),
        ({"learning_rate": 0.0}, "--learning_rate=0.0; it must be above 0"),
        ({"num_train_epochs": -1.0}, "--num_train_epochs=-1.0; it must be between 0 and 1,000,000"),
        ({"warmup_proportion": 1.5}, "--warmup_proportion=1.5; it must be between 0 and 1"),
        ({"save_checkpoints_steps": 0}, "--save_checkpoints_steps=0; it must be at least 1"),
        ({"vocab_file": "a", "spm_model_file": "b"}, "--vocab_file and --spm_model_file exclude each other"),
        ({"do_train": False, "overwrite_output_dir": True}, "--overwrite_output_dir without --do_train would remove"),
        ({"do_eval": False, "early_stopping_patience": 2}, "--early_stopping_patience needs --do_train and --do_eval"),
        ({"seeds": "1,x"}, "--seeds=1,x; expected different comma-separated integers up to 4294967295"),
        (
            {"search": "seed=1", "do_eval": False},
            "--search needs --do_train and --do_eval: the scores of the evaluation",
        ),
        ({"search": "sed=1,2"}, "--search: there is no flag 'sed'; did you mean seed"),
        (
            {"search": "learning_rate=1e-5..1e-4"},
            "--search has a range, so that --search_trials must say how many runs",
        ),
        ({"search_trials": 3}, "--search_trials needs --search"),
        ({"search": "paper", "search_trials": 0}, "--search_trials=0; it must be at least 1"),
        ({"use_best": True, "do_eval": False}, "--use_best with --do_train needs --do_eval"),
        ({"use_best": True, "num_train_epochs": 0.0}, "--num_train_epochs=0 trains nothing, so that no weights are"),
        ({"seeds": "1,1"}, "--seeds=1,1; expected different comma-separated integers"),
    ],
)
def test_invalid_flags(flags, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        config(**flags)
