"""convert_checkpoint.py: bitwise round trips, the table of names, what is refused, vocabularies that grow."""

import json
import logging
import re

import numpy as np
import pytest
import tensorflow as tf
from helpers.repository import GOLDEN
from helpers.rounding import SUM, assert_close, largest
from helpers.run_directory import unlisted
from helpers.tiny_huggingface import MODELS, PIECES, arrays_of, write_directory

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import huggingface, pretrained
from bert_tf2.checkpoints.huggingface_config import HuggingFaceConfig
from bert_tf2.checkpoints.model_source import expected_shapes
from bert_tf2.checkpoints.safetensors import open_safetensors
from bert_tf2.configs.model import BertConfig
from bert_tf2.conversion.convert import ConversionConfig, convert
from bert_tf2.errors import InputError
from bert_tf2.io import run_files
from bert_tf2.modeling.encoder import BertModel
from bert_tf2.modeling.heads import MaskedLMHead, NextSentenceHead
from bert_tf2.tasks.finetuning.config import FinetuningConfig
from bert_tf2.tasks.finetuning.foundation import find_foundation
from bert_tf2.tokenization.wordpiece import FullTokenizer, load_vocab

pytestmark = pytest.mark.numeric


def run(source, output, **options):
    convert(ConversionConfig(str(source), str(output), **options))
    return output


def arrays_in(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_equal_bits(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.tobytes() == other[name].tobytes(), name


def write_google_model(directory, **more):
    """A pre-training model as our training leaves it."""
    config = BertConfig(
        12, hidden_size=4, num_hidden_layers=2, num_attention_heads=2, intermediate_size=6, type_vocab_size=2,
        max_position_embeddings=8,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    heads = ("bert/", "cls/predictions/", "cls/seq_relationship/")
    shapes = {name: shape for name, shape in expected_shapes(config).items() if name.startswith(heads)}
    variables = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    slots = {f"{name}/adam_{m}": variable for name, variable in variables.items() for m in "mv"}
    state = {**slots, "global_step": np.int64(7), "bert/pooler/dense/bias/ExponentialMovingAverage": np.float32([1])}
    checkpoints.save(
        str(directory), 7, {name: tf.Variable(value) for name, value in {**variables, **state, **more}.items()}
    )
    (directory / "bert_config.json").write_text(config.to_json_string())
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    return variables


def test_expected_shapes_are_those_of_the_model():
    config = BertConfig(9, hidden_size=6, num_hidden_layers=2, num_attention_heads=3, intermediate_size=7)
    parts = (BertModel(config), MaskedLMHead(config), NextSentenceHead(config))
    shapes = expected_shapes(config)
    ours = {name: tuple(v.shape) for part in parts for name, v in part.named_variables().items()}
    assert {name: shapes[name] for name in ours} == ours
    assert shapes.keys() - ours.keys() == {
        "output_bias",
        "output_weights",
        "cls/squad/output_bias",
        "cls/squad/output_weights",
    }


def test_golden_checkpoint_to_hugging_face_and_back(tmp_path, capsys):
    golden = GOLDEN / "tiny"
    hf = run(golden, tmp_path / "there")
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 1 + len(arrays_in(golden / "bert_model.ckpt"))
    assert re.split("  +", table[0]) == ["name", "shape", "name there"]
    rows = {row[0]: row[1:] for row in (re.split("  +", line) for line in table)}
    assert rows["bert/encoder/layer_2/intermediate/dense/kernel"] == [
        "[96, 192]",
        "bert.encoder.layer.2.intermediate.dense.weight, transposed",
    ]
    assert rows["cls/seq_relationship/output_weights"] == ["[2, 96]", "cls.seq_relationship.weight"]
    assert json.loads((hf / "config.json").read_text())["hidden_act"] == "gelu_pytorch_tanh"

    back = run(hf, tmp_path / "back")
    rows = capsys.readouterr().out
    assert re.search(
        r"^bert\.encoder\.layer\.2\.intermediate\.dense\.weight +\[192, 96\] +bert/.*, transposed$", rows, re.M
    )
    assert_equal_bits(arrays_in(back / "bert_model.ckpt"), arrays_in(golden / "bert_model.ckpt"))
    assert (back / "vocab.txt").read_bytes() == (golden / "vocab.txt").read_bytes()
    configs = [BertConfig.from_json_file(directory / "bert_config.json") for directory in (golden, back)]
    assert configs[0] == configs[1]
    assert sorted(path.name for path in back.iterdir()) == [
        "bert_config.json",
        "bert_model.ckpt.data-00000-of-00001",
        "bert_model.ckpt.index",
        "vocab.txt",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "there"]


@pytest.mark.parametrize("architecture", MODELS)
def test_every_model_from_hugging_face_and_back(tmp_path, architecture):
    has_labels = MODELS[architecture].get("classifier.bias") == [3]
    labels = {"id2label": {"0": "B-per", "1": "I-per", "2": "O"}} if has_labels else {}
    source = write_directory(tmp_path / "in", architecture, **labels)
    google = run(source, tmp_path / "google")
    back = run(google, tmp_path / "back")
    assert unlisted(google, run_files.GOOGLE_MODEL) == unlisted(back, run_files.HUGGING_FACE_MODEL) == []
    assert (back / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    assert (back / "vocab.txt").read_bytes() == (source / "vocab.txt").read_bytes()
    configs = [HuggingFaceConfig.read(directory / "config.json") for directory in (source, back)]
    assert [config.architecture for config in configs] == [architecture, architecture]
    assert configs[0].bert == configs[1].bert
    assert configs[0].labels == configs[1].labels
    if labels:
        assert (google / "labels.txt").read_text() == "B-per\nI-per\nO\n"
    again = run(back, tmp_path / "again")
    for path in google.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_kind_of_problem_and_default_labels(tmp_path):
    arrays = arrays_of("BertForSequenceClassification")
    source = write_directory(
        tmp_path / "several", "BertForSequenceClassification", arrays, problem_type="multi_label_classification"
    )
    google = run(source, tmp_path / "several_google")
    task = json.loads((google / "task.json").read_text())
    assert (task["problem_type"], task["labels"]) == ("multi_label", ["LABEL_0", "LABEL_1", "LABEL_2"])
    config = HuggingFaceConfig.read(run(google, tmp_path / "several_back") / "config.json")
    assert (config.problem_type, config.labels) == ("multi_label_classification", ())
    assert json.loads((tmp_path / "several_back/config.json").read_text())["id2label"]["2"] == "LABEL_2"

    arrays = {**arrays, "classifier.weight": arrays["classifier.weight"][:1], "classifier.bias": np.float32([1])}
    source = write_directory(tmp_path / "one", "BertForSequenceClassification", arrays)
    google = run(source, tmp_path / "one_google")
    assert json.loads((google / "task.json").read_text())["problem_type"] == "regression"
    assert not (google / "labels.txt").exists()
    assert HuggingFaceConfig.read(run(google, tmp_path / "one_back") / "config.json").problem_type == "regression"


def test_training_state_is_left_out(tmp_path, capsys, caplog):
    variables = write_google_model(tmp_path / "model")
    hf = run(tmp_path / "model", tmp_path / "there")
    table = capsys.readouterr().out
    assert "also has moving averages; converting the weights themselves" in caplog.text
    assert re.search(rf"^bert/\S+ and {2 * len(variables) + 1} more +left out: state of the training$", table, re.M)
    assert_equal_bits(arrays_in(run(hf, tmp_path / "back") / "bert_model.ckpt"), variables)


def test_unknown_weights_are_an_error_unless_allowed(tmp_path, capsys, caplog):
    write_google_model(tmp_path / "model", **{"own/a": np.float32([1]), "own/b": np.float32([2])})
    with pytest.raises(
        InputError, match=r"holds own/a, own/b, for which BERT has no place.*--allow_unused='own/a,own/b'"
    ):
        run(tmp_path / "model", tmp_path / "out")
    with pytest.raises(InputError, match="holds own/b, for"):
        run(tmp_path / "model", tmp_path / "out", allow_unused="own/a")
    assert not (tmp_path / "out").exists()
    with caplog.at_level(logging.WARNING):
        run(tmp_path / "model", tmp_path / "out", allow_unused="own/*, cls/seq*,typo")
    assert "--allow_unused: no weight in" in caplog.text
    assert re.search(r"^own/b +dropped, as allowed$", capsys.readouterr().out, re.M)
    assert HuggingFaceConfig.read(tmp_path / "out/config.json").architecture == "BertForMaskedLM"


def test_heads_that_do_not_occur_together(tmp_path):
    head = {"output_weights": np.ones([3, 4], np.float32), "output_bias": np.ones(3, np.float32)}
    write_google_model(tmp_path / "model", **head)
    with pytest.raises(InputError, match="has the heads classifier, masked_lm, next_sentence, which no transformers"):
        run(tmp_path / "model", tmp_path / "out")
    run(tmp_path / "model", tmp_path / "out", allow_unused="cls/*")
    assert HuggingFaceConfig.read(tmp_path / "out/config.json").architecture == "BertForSequenceClassification"
    run(tmp_path / "model", tmp_path / "tagger", allow_unused="cls/*", head="tagger")
    assert HuggingFaceConfig.read(tmp_path / "tagger/config.json").architecture == "BertForTokenClassification"
    (tmp_path / "model/labels.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match=r"names 2 labels, but the head in .* has 3 outputs"):
        run(tmp_path / "model", tmp_path / "labelled", allow_unused="cls/*")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 1}, r"it has 2 layers, the config 1 \(num_hidden_layers\)"),
        ({"num_hidden_layers": 3}, r"it has 2 layers, the config 3 \(num_hidden_layers\)"),
        ({"intermediate_size": 7}, r"intermediate/dense/kernel is \[4, 6\] in .* but \[4, 7\] in this model"),
        ({"vocab_size": 11}, r"word_embeddings is \[12, 4\] in .* but \[11, 4\] in this model"),
    ],
)
def test_models_that_do_not_match_their_config(tmp_path, change, message):
    write_google_model(tmp_path / "model")
    config = json.loads((tmp_path / "model/bert_config.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(InputError, match=message):
        run(tmp_path / "model", tmp_path / "out", bert_config_file=str(tmp_path / "other.json"))


def test_an_incomplete_head_is_refused(tmp_path):
    write_google_model(tmp_path / "model")
    with pytest.raises(InputError, match="lacks cls/predictions/output_bias: the model is incomplete"):
        run(tmp_path / "model", tmp_path / "out", allow_unused="cls/predictions/output_bias")


def test_the_output_directory_must_be_empty(tmp_path):
    source = write_directory(tmp_path / "in", "BertModel")
    (tmp_path / "empty").mkdir()
    run(source, tmp_path / "empty")
    for taken in (tmp_path / "empty", source / "config.json"):
        with pytest.raises(InputError, match="already exists and is not an empty directory"):
            run(source, taken)
    with pytest.raises(InputError, match="Unknown --output_format 'tf'; choose one of google, huggingface"):
        ConversionConfig(str(source), str(tmp_path / "x"), output_format="tf")


def test_an_error_while_writing_leaves_no_files(tmp_path, monkeypatch):
    write_google_model(tmp_path / "model")

    def fail(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface.safetensors, "write_safetensors", fail)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path / "model", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_vocabularies(tmp_path, caplog):
    source = write_directory(tmp_path / "in", "BertModel")
    (source / "vocab.txt").rename(tmp_path / "vocab.txt")
    with caplog.at_level(logging.WARNING):
        assert not (run(source, tmp_path / "none") / "vocab.txt").exists()
    assert "has no vocabulary, so none is written" in caplog.text
    given = run(source, tmp_path / "given", vocab_file=str(tmp_path / "vocab.txt"))
    model = {"type": "WordPiece", "vocab": {piece: index for index, piece in enumerate(PIECES)}}
    (source / "tokenizer.json").write_text(json.dumps({"model": model}))
    taken = run(source, tmp_path / "taken")
    assert (
        (given / "vocab.txt").read_bytes()
        == (taken / "vocab.txt").read_bytes()
        == (tmp_path / "vocab.txt").read_bytes()
    )
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in [*PIECES, "more"]))
    with pytest.raises(InputError, match="has 13 pieces, but the model's vocab_size is 12"):
        run(source, tmp_path / "x", vocab_file=str(tmp_path / "vocab.txt"))


def test_a_sentencepiece_model_is_copied(tmp_path, caplog):
    source = write_directory(tmp_path / "in", "BertModel")
    (source / "vocab.txt").unlink()
    (source / "spm.model").write_bytes(b"pieces")
    google = run(source, tmp_path / "google")
    assert "vocabulary" not in caplog.text
    back = run(google, tmp_path / "back")
    assert f"transformers' BERT cannot read {google}/spm.model, which is copied unchanged" in caplog.text
    for directory in (google, back):
        assert (directory / "spm.model").read_bytes() == b"pieces"
        assert not (directory / "vocab.txt").exists()
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    given = run(source, tmp_path / "given", vocab_file=str(tmp_path / "vocab.txt"))
    assert not (given / "spm.model").exists()


@pytest.mark.parametrize("architecture", ["BertForSequenceClassification", "BertForTokenClassification"])
@pytest.mark.parametrize("label", ["O", "", "B\n", "B-x\ny", "B-x\ry", " B", "\ufeffB", "B\u2028", "B\x85"])
def test_labels_that_labels_txt_cannot_store(tmp_path, architecture, label):
    source = write_directory(tmp_path / "in", architecture, id2label={"0": "O", "1": label, "2": "I"})
    with pytest.raises(
        InputError, match=rf"^{re.escape(str(source))}: label 1, .*; labels\.txt has one label per line"
    ):
        run(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("index", "piece", "problem"),
    [
        (7, "c\no", "contains a line break, which would shift all later ids"),
        (7, "\r", "contains a line break"),
        (7, " a", "is piece 9 apart from surrounding whitespace"),
        (4, "mask", r"lacks \[MASK\]"),
    ],
)
def test_pieces_of_tokenizer_json_that_vocab_txt_cannot_store(tmp_path, index, piece, problem):
    source = write_directory(tmp_path / "in", "BertModel")
    (source / "vocab.txt").unlink()
    pieces = [*PIECES[:index], piece, *PIECES[index + 1 :]]
    model = {"type": "WordPiece", "vocab": {piece: index for index, piece in enumerate(pieces)}}
    (source / "tokenizer.json").write_text(json.dumps({"model": model}))
    with pytest.raises(InputError, match=rf"tokenizer\.json.*{problem}"):
        run(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_pieces_of_whitespace_keep_their_ids(tmp_path):
    """Google's Chinese vocabulary has the piece U+2028, which every reader strips to ""."""
    source = write_directory(tmp_path / "in", "BertModel")
    (source / "vocab.txt").unlink()
    pieces = [*PIECES[:7], "\u2028", *PIECES[8:]]
    model = {"type": "WordPiece", "vocab": {piece: index for index, piece in enumerate(pieces)}}
    (source / "tokenizer.json").write_text(json.dumps({"model": model}))
    out = run(source, tmp_path / "out")
    expected = {piece: index for index, piece in enumerate([*PIECES[:7], "", *PIECES[8:]])}
    assert load_vocab(out / "vocab.txt") == expected


def test_added_tokens_become_pieces(tmp_path, caplog):
    """Their rows follow those of vocab.txt; Hugging Face stores their names in other files."""
    more = {"vocab_size": 14}
    arrays = arrays_of("BertModel")
    arrays["embeddings.word_embeddings.weight"] = np.ones([14, 4], np.float32)
    source = write_directory(tmp_path / "in", "BertModel", arrays, **more)
    (source / "added_tokens.json").write_text('{"[E2]": 13, "a": 9, "[E1]": 12}')
    (source / "tokenizer.json").write_text('{"added_tokens": [{"content": "[E1]", "id": 12}]}')
    google = run(source, tmp_path / "google")
    assert (google / "vocab.txt").read_text().split() == [*PIECES, "[E1]", "[E2]"]
    assert "([E2], [E1] stay whole in upper or lower case there" in caplog.text
    settings = json.loads((google / "tokenizer_config.json").read_text())
    assert settings == {"never_split": ["[E2]", "a", "[E1]"], "strip_accents": None, "tokenize_chinese_chars": True}
    assert FullTokenizer.from_pretrained(google).tokenize("as[E1]") == ["a", "[UNK]", "[E1]"]
    assert FullTokenizer.from_pretrained(source).tokenize("as[E1]") == ["a", "[UNK]", "[E1]"]

    again = run(source, tmp_path / "again", output_format="huggingface")
    for name in ("added_tokens.json", "tokenizer.json", "tokenizer_config.json"):
        assert (again / name).read_bytes() == (source / name).read_bytes()
    changed = run(source, tmp_path / "changed", output_format="huggingface", do_lower_case=False)
    assert json.loads((changed / "tokenizer_config.json").read_text())["do_lower_case"] is False

    (tmp_path / "new.txt").write_text("".join(f"{piece}\n" for piece in [*PIECES, "new"]))
    with pytest.raises(InputError, match=r"--grow_vocab: .* has added tokens \(\[E1\], \.\.\.\), whose rows follow"):
        run(source, tmp_path / "x", grow_vocab=str(tmp_path / "new.txt"))
    (source / "added_tokens.json").write_text('{"[E2]": 13}')
    (source / "tokenizer.json").unlink()
    assert (run(source, tmp_path / "gap") / "vocab.txt").read_text().split() == PIECES
    assert "([E2], ...) are left out: their ids do not continue" in caplog.text


def test_an_untied_masked_lm_decoder(tmp_path):
    arrays = {**arrays_of("BertForMaskedLM"), "cls.predictions.decoder.weight": np.ones([12, 4], np.float32)}
    source = write_directory(tmp_path / "in", "BertForMaskedLM", arrays)
    with pytest.raises(InputError, match=r"masked-LM decoder of its own.* give --allow_unused='cls\.predictions\.\*'"):
        run(source, tmp_path / "x")
    out = run(source, tmp_path / "out", allow_unused="cls.predictions.*")
    assert not [name for name in arrays_in(out / "bert_model.ckpt") if name.startswith("cls/")]


@pytest.mark.parametrize(("pieces", "given", "expected"), [("a", None, True), ("A", None, False), ("A", True, True)])
def test_case_of_the_tokenizer(tmp_path, pieces, given, expected):
    write_google_model(tmp_path / "model")
    (tmp_path / "model/vocab.txt").write_text("".join(f"{piece}\n" for piece in [*PIECES[:9], pieces]))
    hf = run(tmp_path / "model", tmp_path / "there", do_lower_case=given)
    assert json.loads((hf / "tokenizer_config.json").read_text())["do_lower_case"] is expected


@pytest.mark.parametrize("lower", [True, False])
def test_case_of_an_encoder_is_kept(tmp_path, lower):
    """Google's format does not store it; without it, all scripts lower-case."""
    source = write_directory(tmp_path / "in", "BertModel")
    (source / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    google = run(source, tmp_path / "google")
    config = FinetuningConfig(output_dir=str(tmp_path / "x"), do_train=True, init_checkpoint=str(google))
    assert find_foundation(config).do_lower_case is lower
    assert (google / "task.json").exists() is not lower
    back = run(google, tmp_path / "back")
    assert json.loads((back / "tokenizer_config.json").read_text())["do_lower_case"] is lower


def test_a_missing_head(tmp_path):
    source = write_directory(tmp_path / "in", "BertModel")
    with pytest.raises(InputError, match=r"--head=tagger: .* has no output_weights to be the head of; omit it"):
        run(source, tmp_path / "out", head="tagger")


@pytest.mark.parametrize("output_format", [None, "huggingface"])
def test_grow_vocab(tmp_path, caplog, output_format):
    variables = write_google_model(tmp_path / "model")
    new = tmp_path / "new.txt"
    new.write_text("".join(f"{piece}\n" for piece in [*PIECES[:6], "covid", *PIECES[7:], "##vids"]))
    with caplog.at_level(logging.INFO):
        out = run(tmp_path / "model", tmp_path / "out", grow_vocab=str(new), output_format=output_format)
    assert "covid, id 6, initialized to the mean of co ##vid" in caplog.text
    assert "2 new pieces, 1 of them in unused slots; vocab_size is now 13, was 12." in caplog.text
    assert (out / "vocab.txt").read_bytes() == new.read_bytes()
    if output_format:
        stored = open_safetensors(out / "model.safetensors")
        grown = [stored[name].read() for name in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias")]
        assert HuggingFaceConfig.read(out / "config.json").bert.vocab_size == 13
    else:
        stored = arrays_in(out / "bert_model.ckpt")
        grown = [stored[name] for name in ("bert/embeddings/word_embeddings", "cls/predictions/output_bias")]
        assert BertConfig.from_json_file(out / "bert_config.json").vocab_size == 13
        assert_equal_bits(
            {name: v for name, v in stored.items() if v.shape[:1] != (13,)},
            {name: v for name, v in variables.items() if v.shape[:1] != (12,)},
        )
    for table, name in zip(grown, ("bert/embeddings/word_embeddings", "cls/predictions/output_bias"), strict=True):
        old, kept = variables[name], [row for row in range(12) if row != 6]
        np.testing.assert_array_equal(table[kept], old[kept])
        assert_close(table[6], (old[7] + old[8]) / 2, SUM, largest(old))
        assert_close(table[12], (old[8] + old[10]) / 2, SUM, largest(old))


def test_a_model_with_a_grown_vocabulary_loads(tmp_path):
    write_google_model(tmp_path / "model")
    (tmp_path / "new.txt").write_text("".join(f"{piece}\n" for piece in [*PIECES, "covid"]))
    out = str(run(tmp_path / "model", tmp_path / "out", grow_vocab=str(tmp_path / "new.txt")))
    model = BertModel(pretrained.find_bert_config(out))
    named = checkpoints.tf_variables(model.named_variables())
    assert pretrained.load(named, out).missing == ()
    (tmp_path / "model/vocab.txt").unlink()
    with pytest.raises(InputError, match="--grow_vocab needs the vocabulary that the model was trained with"):
        run(tmp_path / "model", tmp_path / "x", grow_vocab=str(tmp_path / "new.txt"))


def test_script(tmp_path, scripts):
    source = write_directory(tmp_path / "in", "BertForQuestionAnswering")
    flags = [f"--init_checkpoint={source}", f"--output_dir={tmp_path / 'out'}"]
    done = scripts.run("convert_checkpoint.py", flags)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^qa_outputs\.weight +\[2, 4\] +cls/squad/output_weights$", done.stdout, re.M)
    assert "BertForQuestionAnswering, do_lower_case true" in done.stderr
    assert checkpoints.find(str(tmp_path / "out")) == str(tmp_path / "out/bert_model.ckpt")
    again = scripts.run("convert_checkpoint.py", flags)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert again.stderr.startswith("ERROR: --output_dir=")
