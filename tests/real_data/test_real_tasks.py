"""Public data sets: read whole, scored, and learned from."""

import json
from collections import Counter
from pathlib import Path

import pytest
from helpers import tiny_classification, tiny_tagging
from helpers.repository import TINY_CONFIG

from bert_tf2.configs.model import BertConfig
from bert_tf2.metrics.squad import evaluate
from bert_tf2.tasks.classification import glue
from bert_tf2.tasks.squad import examples, span_selection, tokenized_examples
from bert_tf2.tasks.squad.window_parameters import FeatureParameters
from bert_tf2.tasks.squad.windows import make_windows
from bert_tf2.tasks.squad.words import detect_language
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer

# --- GLUE ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("CoLA", (8551, 1043, 1063)),
        ("SST-2", (67349, 872, 1821)),
        ("STS-B", (5749, 1500, 1379)),
        ("RTE", (2490, 277, 3000)),
        ("WNLI", (635, 71, 146)),
    ],
)
def test_glue_files(real_data: Path, name: str, sizes: tuple[int, int, int]) -> None:
    """As many rows as the GLUE paper and its server count; every label known, no text empty."""
    task = glue.task_named(name)
    for split, size in zip(("train", "dev", "test"), sizes, strict=True):
        found = glue.read(task, str(real_data / "data/glue" / name), split)  # type: ignore[arg-type]
        assert len(found) == size
        assert all(text.strip() for text in [*found.texts, *(found.pairs or [])])
        if split == "test":
            assert found.labels is None
        elif task.value_range:
            assert all(0 <= float(label) <= 5 for label in found.labels or [])
        else:
            assert set(found.labels or []) == set(task.labels)


def test_quotes_of_glue_are_plain_characters(real_data: Path) -> None:
    found = glue.read(glue.TASKS["sts-b"], str(real_data / "data/glue/STS-B"), "train")
    starting = [text for text in found.texts if text.startswith('"')]
    assert len(starting) == 84
    assert Counter(text.count('"') % 2 for text in starting) == {0: 78, 1: 6}, "a reader that minds quotes loses rows"
    found = glue.read(glue.TASKS["cola"], str(real_data / "data/glue/CoLA"), "train")
    assert Counter(found.labels) == {"1": 6023, "0": 2528}


def test_a_slice_of_sst_2_beats_the_majority(real_data: Path, tmp_path: Path) -> None:
    wide = BertConfig(**{**TINY_CONFIG, "vocab_size": 30522, "hidden_size": 32, "max_position_embeddings": 64})
    (tmp_path / "bert_config.json").write_text(wide.to_json_string())
    for name, first, last in (("train", 1, 2001), ("dev", 2001, 2401)):
        lines = (real_data / "data/glue/SST-2/train.tsv").read_text().splitlines()
        (tmp_path / f"{name}.tsv").write_text("\n".join([lines[0], *lines[first:last]]) + "\n")
    results = tiny_classification.run(
        tmp_path,
        task_name="sst-2",
        data_dir=str(tmp_path),
        vocab_file=str(real_data / "data/vocab/bert_uncased.txt"),
        max_seq_length=64,
        do_train=True,
        do_eval=True,
        num_train_epochs=3.0,
        eval_every_steps=1000,
        learning_rate=2e-3,
        train_batch_size=32,
    )
    labels = [line.split("\t")[1] for line in (tmp_path / "dev.tsv").read_text().splitlines()[1:]]
    assert results["eval_accuracy"] > max(map(labels.count, "01")) / len(labels) + 0.1


# --- Tagging ---------------------------------------------------------------------------------------------------------


def test_a_slice_of_wnut_17_is_learned(real_data: Path, tmp_path: Path) -> None:
    """Sentences with a span, by heart, from random weights."""
    text = (real_data / "data/ner/wnut17.train.conll").read_text().replace("\n\t\n", "\n\n")
    chosen = [sentence for sentence in text.split("\n\n") if "\tB-" in sentence][:200]
    (tmp_path / "train.conll").write_text("\n\n".join(chosen) + "\n")
    sizes = {"vocab_size": 30522, "hidden_size": 32, "max_position_embeddings": 64}
    tiny_tagging.write_model_files(tmp_path, **sizes, initializer_range=0.05)
    results = tiny_tagging.run(
        tmp_path,
        vocab_file=str(real_data / "data/vocab/bert_uncased.txt"),
        train_file=str(tmp_path / "train.conll"),
        dev_file=str(tmp_path / "train.conll"),
        do_train=True,
        do_eval=True,
        max_seq_length=64,
        num_train_epochs=20.0,
        eval_every_steps=1000,
        learning_rate=1e-3,
    )
    assert results["eval_f1"] > 0.5


# --- SQuAD -----------------------------------------------------------------------------------------------------------


def test_right_answers_of_the_dev_sets_score_100(real_data: Path) -> None:
    directory = real_data / "data/squad"
    gold = examples.read(directory / "dev-v1.1.json", training=False).gold
    assert len(gold) == 10570
    first, last = ({identity: texts[place] for identity, texts in gold.items()} for place in (0, -1))
    assert evaluate(gold, first) == {"exact_match": 100.0, "f1": 100.0}
    # One last answer is nothing but a full stop: on 1.1 it shares no word even with itself.
    assert evaluate(gold, last) == {"exact_match": 100.0, "f1": 100 * 10569 / 10570}
    gold = examples.read(directory / "dev-v2.0.reconstructed.json", training=False).gold
    predicted = {identity: texts[0] if texts else "" for identity, texts in gold.items()}
    odds = {identity: -1.0 if texts else 1.0 for identity, texts in gold.items()}
    results = evaluate(gold, predicted, version_2_with_negative=True, null_odds=odds)
    expected = {"total": 11873, "HasAns_total": 5928, "NoAns_total": 5945, "best_exact_thresh": -1.0}
    assert results == {name: expected.get(name, -1.0 if name == "best_f1_thresh" else 100.0) for name in results}
    assert len(results) == 13
    nothing = evaluate(gold, dict.fromkeys(gold, ""), version_2_with_negative=True)
    assert nothing["exact"] == nothing["f1"] == 100 * 5945 / 11873


@pytest.mark.parametrize(("language", "found"), [("zh", 1190), ("en", 1181)])
def test_chinese_answers_can_be_predicted(real_data: Path, language: str, found: int) -> None:
    """The right tokens chosen, how many of the 1,190 answers of XQuAD come out as they are."""
    data = examples.read(real_data / "data/squad/xquad.zh.json", training=True, language=language)
    tokenizer = FastTokenizer(str(real_data / "data/vocab/bert_chinese.txt"))
    windows = make_windows(tokenized_examples.tokenize(data.examples, tokenizer), FeatureParameters(), training=True)
    assert (len(data.examples), data.summary.not_found) == (1190, [])
    assert windows.summary.without_answer == 0

    tokens = windows.tokenized
    first, last = (tokens.answers + tokens.documents.row_splits[tokens.paragraph][:, None]).T
    aligner = span_selection._SpanAligner(tokens)
    predicted = {}
    for example, *span, start, end, is_sure in zip(
        data.examples, *(column.tolist() for column in aligner.locate(first, last)), strict=True
    ):
        predicted[example.id] = example.paragraph.quote(
            *((start, end) if is_sure else aligner.align(example.paragraph, *span))
        )
    assert sum(predicted[example.id] == example.answer.text for example in data.examples) == found
    results = evaluate(data.gold, predicted, language=language)
    assert (results["exact_match"] == 100.0) == (language == "zh")
    assert (results["f1"] == pytest.approx(100.0, rel=1e-12)) == (language == "zh")


def test_right_chinese_answers_score_100(real_data: Path) -> None:
    data = examples.read(real_data / "data/squad/xquad.zh.json", training=False, language="auto")
    assert data.language == "zh"
    predicted = {identity: texts[0] for identity, texts in data.gold.items()}
    assert evaluate(data.gold, predicted, language="zh") == {"exact_match": 100.0, "f1": 100.0}


@pytest.mark.parametrize(("name", "language"), [("xquad.zh.json", "zh"), ("dev-v1.1.json", "en")])
def test_languages_of_squad_files(real_data: Path, name: str, language: str) -> None:
    data = json.loads((real_data / "data/squad" / name).read_bytes())["data"]
    contexts = [paragraph["context"] for article in data for paragraph in article["paragraphs"]]
    assert detect_language(contexts) == language
