"""Sources of model config and vocabulary, files saved with a model, and inconsistent combinations."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.repository import TINY_CONFIG
from helpers.tiny_huggingface import write_directory

from bert_tf2 import checkpoints
from bert_tf2.checkpoints.model_source import expected_shapes
from bert_tf2.checkpoints.pretrained import Pretrained
from bert_tf2.configs.model import BertConfig
from bert_tf2.configs.tokenizer import TokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.tasks.classification.config import ClassificationConfig
from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.finetuning.foundation import check_data_is_kept, check_not_inside, find_foundation
from bert_tf2.tokenization.auto import VocabularyFile

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_model(directory: Path, *words: str, **changes) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "vocab.txt").write_text("\n".join([*SPECIAL, *words]) + "\n")
    config = BertConfig(**{**TINY_CONFIG, **changes})
    (directory / "bert_config.json").write_text(config.to_json_string())
    shapes = {name: shape for name, shape in expected_shapes(config).items() if name.startswith("bert/")}
    variables = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    checkpoints.write(str(directory / "bert_model.ckpt"), variables)
    return directory


def find(directory: Path, **flags) -> Pretrained:
    strings = {name: str(value) if isinstance(value, Path) else value for name, value in flags.items()}
    return find_foundation(FinetuningConfig(output_dir=str(directory / "out"), do_train=True, **strings))


def test_flags_take_precedence_over_the_checkpoint_directory(tmp_path: Path) -> None:
    released, other = write_model(tmp_path / "released", "a"), write_model(tmp_path / "other", "b", hidden_act="relu")
    foundation = find(tmp_path, init_checkpoint=released / "bert_model.ckpt")
    assert (foundation.vocabulary.path, foundation.bert_config.hidden_act) == (str(released / "vocab.txt"), "gelu")
    flags = {"vocab_file": other / "vocab.txt", "bert_config_file": other / "bert_config.json"}
    foundation = find(tmp_path, init_checkpoint=released / "bert_model.ckpt", **flags)
    assert (foundation.vocabulary.path, foundation.bert_config.hidden_act) == (str(other / "vocab.txt"), "relu")


def test_hugging_face_directory(tmp_path: Path) -> None:
    directory = write_directory(tmp_path / "hf", "BertModel")
    foundation = find(tmp_path, init_checkpoint=directory)
    assert (foundation.vocabulary.path, foundation.bert_config.hidden_act) == (
        str(directory / "vocab.txt"),
        "gelu_exact",
    )
    assert foundation.do_lower_case
    (directory / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert not find(tmp_path, init_checkpoint=directory).do_lower_case
    assert find(tmp_path, init_checkpoint=directory, do_lower_case=True).do_lower_case


def test_directory_with_saved_files_is_self_contained(tmp_path: Path) -> None:
    released = write_model(tmp_path / "released", "a")
    find(tmp_path, init_checkpoint=released).write_files(str(tmp_path / "out"))
    foundation = find(tmp_path)
    assert foundation.vocabulary.path == str(tmp_path / "out" / "vocab.txt")
    assert foundation.tokenizer(True).vocab == {piece: index for index, piece in enumerate([*SPECIAL, "a"])}
    foundation.write_files(str(tmp_path / "out"))  # onto itself
    assert find(tmp_path).tokenizer(True).vocab["a"] == 5
    with pytest.raises(InputError, match=r"Give --(bert_config|vocab)_file"):
        find(tmp_path, overwrite_output_dir=True)


def test_case_is_read_from_task_json(tmp_path: Path) -> None:
    released = write_model(tmp_path / "released", "a")
    (released / "task.json").write_text(json.dumps({"do_lower_case": False}))
    assert not find(tmp_path, init_checkpoint=released).do_lower_case


def test_tokenizer_rules_are_saved(tmp_path: Path) -> None:
    released = write_model(tmp_path / "released", "a", "é", "[DRUG]")
    flags = TokenizerConfig(strip_accents=False, never_split="[DRUG]")
    foundation = find(tmp_path, init_checkpoint=released, tokenizer=flags)
    foundation.write_files(str(tmp_path / "out"))
    for reloaded in (find(tmp_path), find(tmp_path, init_checkpoint=released), find(tmp_path, tokenizer=flags)):
        assert reloaded.tokenizer(True).encode("A[DRUG]É") == [5, 7, 6]
    with pytest.raises(InputError, match=r"--never_split=a is not how the model in .*out was trained"):
        find(tmp_path, tokenizer=TokenizerConfig(never_split="a"))
    assert find(tmp_path, init_checkpoint=released, overwrite_output_dir=True).tokenizer(True).encode("É") == [1]


def test_added_tokens_of_a_hugging_face_directory_are_saved(tmp_path: Path) -> None:
    directory = write_directory(tmp_path / "hf", "BertModel", vocab_size=14)
    (directory / "added_tokens.json").write_text('{"[E2]": 13, "[E1]": 12}')
    vocab_file = directory / "vocab.txt"
    find(tmp_path, init_checkpoint=directory, vocab_file=vocab_file).write_files(str(tmp_path / "out"))
    for reloaded in (find(tmp_path), find(tmp_path, init_checkpoint=directory, vocab_file=vocab_file)):
        assert reloaded.tokenizer(True).encode("a[E2]") == [9, 13]


def test_vocabulary_of_another_model(tmp_path: Path) -> None:
    find(tmp_path, init_checkpoint=write_model(tmp_path / "released", "a")).write_files(str(tmp_path / "out"))
    other = write_model(tmp_path / "other", "b")
    with pytest.raises(InputError, match=r"--vocab_file=.* is not the vocabulary that the model in .*out was trained"):
        find(tmp_path, vocab_file=other / "vocab.txt")
    assert find(tmp_path, vocab_file=tmp_path / "released" / "vocab.txt").bert_config.vocab_size == 40


def test_implausible_vocabulary(tmp_path: Path, caplog) -> None:
    directory = write_model(tmp_path / "a", "Some", "Words", vocab_size=7 + 1023)
    find(tmp_path, init_checkpoint=directory).tokenizer(do_lower_case=False)
    assert not caplog.records
    directory = write_model(tmp_path / "b", "Some", "Words", vocab_size=7 + 1024)
    find(tmp_path, init_checkpoint=directory).tokenizer(do_lower_case=True)
    assert "vocab.txt has 7 pieces, the model's vocab_size is 1,031: is this the model's vocabulary?" in caplog.text
    assert "100 % of the pieces of" in caplog.text


def test_sentencepiece(tmp_path: Path, spm_model: Path) -> None:
    released = write_model(tmp_path / "released", vocab_size=1000)
    foundation = find(tmp_path, init_checkpoint=released, spm_model_file=spm_model)
    foundation.write_files(str(tmp_path / "out"))
    reloaded = find(tmp_path)
    assert reloaded.vocabulary == VocabularyFile(str(tmp_path / "out" / "spm.model"), is_sentencepiece=True)
    assert len(reloaded.tokenizer(True).vocab) == 1000


def test_inconsistent_combinations(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Give --vocab_file"):
        find(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(SPECIAL) + "\n")
    with pytest.raises(InputError, match="ive --bert_config_file"):
        find(tmp_path, vocab_file=tmp_path / "vocab.txt")
    small = find(tmp_path, init_checkpoint=write_model(tmp_path / "small", "a", "b", vocab_size=6))
    with pytest.raises(InputError, match=r"vocab\.txt has 7 pieces, but the model's vocab_size is 6"):
        small.tokenizer(True)
    small.check_sequences(24, 2)
    with pytest.raises(InputError, match=r"--max_seq_length=25, but the model has only 24 positions .*=24 or less"):
        small.check_sequences(25, 2)
    with pytest.raises(InputError, match="need 2 segment types, but the model has only 1"):
        find(tmp_path, init_checkpoint=write_model(tmp_path / "one", type_vocab_size=1)).check_sequences(8, 2)


def test_wrong_case_of_a_released_model(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "uncased_L-12_H-768_A-12", "a")
    foundation = find(tmp_path, init_checkpoint=directory / "bert_model.ckpt")
    with pytest.raises(InputError, match="--do_lower_case=False does not fit"):
        foundation.tokenizer(False)


def test_files_to_be_read_are_not_removed(tmp_path: Path) -> None:
    check_not_inside(str(tmp_path / "a"), [None, str(tmp_path / "ab" / "x")])
    with pytest.raises(InputError, match=r"x is in .*, which --overwrite_output_dir empties"):
        check_not_inside(str(tmp_path / "a"), [str(tmp_path / "a" / "best" / "x")])


def test_data_is_not_replaced_by_results(tmp_path: Path) -> None:
    out = tmp_path / "out"
    table, lines = str(out / "eval_predictions.csv"), str(out / "seed-1/predictions.jsonl")
    for flags in (
        {"do_train": True, "do_eval": True, "train_file": table},
        {"do_train": True, "overwrite_output_dir": True, "train_file": table},
        {"do_predict": True, "predict_file": lines},
    ):
        with pytest.raises(InputError, match=r"_file=.* is one of the files that this command removes or replaces"):
            check_data_is_kept(ClassificationConfig(output_dir=str(out), **flags))
    for flags in (
        {"do_train": True, "train_file": table},
        {"do_predict": True, "predict_file": table},
        {"do_eval": True, "dev_file": str(tmp_path / "eval_predictions.csv")},
    ):
        check_data_is_kept(ClassificationConfig(output_dir=str(out), **flags))
