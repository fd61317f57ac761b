"""Exported models for question answering: the answers of run_squad.py, their offsets, the odds of no answer."""

import json
import random
from pathlib import Path

import pytest
import tensorflow as tf
from helpers import squad_strategies
from helpers import tiny_squad as tiny
from helpers.exported import ask
from helpers.rounding import assert_close, forward
from helpers.tiny_huggingface import write_directory
from helpers.tiny_sentencepiece import sentencepiece_model
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.squad_windows import document_spans, is_max_context

from bert_tf2.configs.tokenizer import TokenizerConfig, TokenizerOptions
from bert_tf2.errors import InputError
from bert_tf2.export import contexts, question_answering, runner
from bert_tf2.export.config import ExportConfig
from bert_tf2.tasks.squad import words
from bert_tf2.tasks.squad.answers import AnswerParameters
from bert_tf2.tasks.squad.task_description import TaskDescription

pytestmark = pytest.mark.numeric

THRESHOLD = -0.3
OTHER_RULES = TokenizerConfig(strip_accents=False, tokenize_chinese_chars=False, never_split="den,É,中国,(")
LETTERS = "ab é\u200b\u3000\u202f \t.,中国\ufffd\u0301\u2028\n"


def export(directory: Path, **flags: object) -> Path:
    values = {"output_dir": str(directory / "model"), "export_dir": str(directory / "export"), **flags}
    return Path(runner.run(ExportConfig(**values)))


def made_up(seed: int, count: int = 150) -> list[dict[str, str]]:
    """Questions about contexts whose words are split, unknown, punctuation, removed, or of another length as tokens."""
    rng = random.Random(seed)

    def text(most: int) -> str:
        count = rng.randint(0, most)
        return "".join(
            rng.choice(squad_strategies.WORDS) + rng.choice(squad_strategies.SPACES[:6]) for _ in range(count)
        )

    questions = [{"question": text(5) + "a", "context": text(40)} for _ in range(count)]
    return [{**question, "id": str(number)} for number, question in enumerate(questions)]


@pytest.mark.parametrize(
    ("language", "version_2", "rules"),
    [
        *(pytest.param("en", negative, TokenizerConfig(), marks=pytest.mark.slow) for negative in (False, True)),
        ("zh", True, TokenizerConfig()),
        pytest.param("zh", False, OTHER_RULES, marks=pytest.mark.slow),
        pytest.param("en", True, OTHER_RULES, marks=pytest.mark.slow),
    ],
)
def test_answers_equal_those_of_the_task(language: str, version_2: bool, rules: TokenizerConfig, tmp_path: Path):
    """With random weights, so that answers are anywhere; the tokenizer options are those in the model's files."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *squad_strategies.PIECES, "中国", "##国"]
    tiny.write_model_files(tmp_path, pieces, vocab_size=60)
    train = tiny.write_json(tmp_path / "train.json", tiny.squad(10, seed=1, version_2=version_2))
    questions = made_up(seed=version_2)
    selection = {"n_best_size": 7, "max_answer_length": 5}
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(line) + "\n" for line in questions))
    tiny.run(
        tmp_path,
        train_file=train,
        predict_file=str(tmp_path / "new.jsonl"),
        do_train=True,
        do_predict=True,
        num_train_epochs=0.0,
        version_2_with_negative=version_2,
        null_score_diff_threshold=THRESHOLD,
        language=language,
        tokenizer=rules,
        **selection,
    )
    assert (tmp_path / "model/tokenizer_config.json").is_file() == (rules == OTHER_RULES)
    threshold = {"null_score_diff_threshold": THRESHOLD} if version_2 else {}
    model = tf.saved_model.load(str(export(tmp_path, **threshold, **selection)))
    outputs = model.signatures["serving_default"](
        question=tf.constant([line["question"] for line in questions]),
        context=tf.constant([line["context"] for line in questions]),
    )
    lines = [json.loads(line) for line in (tmp_path / "model/predictions.jsonl").read_text().split("\n")[:-1]]
    assert [answer.decode() for answer in outputs["answer"].numpy()] == [line["answer"] for line in lines]
    for name in ("start", "end"):
        assert outputs[name].numpy().tolist() == [-1 if line[name] is None else line[name] for line in lines]
    answered = sum(bool(line["answer"]) for line in lines)
    assert answered > 30
    n_best = json.loads((tmp_path / "model/nbest_predictions.json").read_text())
    best = [next((entry for entry in n_best[line["id"]] if entry["text"] not in ("", "empty")), None) for line in lines]
    expected = [entry["start_logit"] + entry["end_logit"] if entry else 0.0 for entry in best]
    assert_close(outputs["score"], expected, forward(1))
    assert ("null_odds" in outputs) == version_2
    if version_2:
        odds = json.loads((tmp_path / "model/null_odds.json").read_text())
        assert_close(outputs["null_odds"], [odds[line["id"]] for line in lines], forward(1))
        assert answered < sum(entry is not None for entry in best) - 10


@pytest.mark.slow
def test_trained_model_in_a_fresh_process_uses_the_threshold_of_its_evaluation(tmp_path: Path):
    tiny.write_model_files(tmp_path)
    files = {
        name: tiny.write_json(tmp_path / f"{name}.json", tiny.squad(40, seed=seed, version_2=True))
        for seed, name in enumerate(("train_file", "predict_file"))
    }
    flags = {"do_train": True, "do_eval": True, "do_predict": True, "version_2_with_negative": True}
    tiny.run(tmp_path, **files, **flags, num_train_epochs=2.0)
    threshold = tmp_path / "model/null_score_diff_threshold.json"
    saved = json.loads(threshold.read_text())
    exported = export(tmp_path)
    settings = json.loads((exported / "assets/settings.json").read_text())
    assert settings["null_score_diff_threshold"] == saved["null_score_diff_threshold"] != 0
    lines = [json.loads(line) for line in (tmp_path / "model/predictions.jsonl").read_text().splitlines()]
    articles = json.loads(Path(files["predict_file"]).read_text())["data"]
    paragraph_contexts = [part["context"] for article in articles for part in article["paragraphs"]]
    outputs = ask(exported, {"question": [tiny.QUESTION] * len(paragraph_contexts), "context": paragraph_contexts})
    assert outputs["answer"] == [line["answer"] for line in lines]
    assert [
        context[start:end]
        for context, start, end in zip(paragraph_contexts, outputs["start"], outputs["end"], strict=True)
    ] == [line["answer"] for line in lines]

    threshold.write_text(json.dumps({**saved, "weights": "others"}))
    for flags, expected in (({}, 0.0), ({"null_score_diff_threshold": -2.5}, -2.5)):
        settings = json.loads((export(tmp_path, **flags) / "assets/settings.json").read_text())
        assert settings["null_score_diff_threshold"] == expected


@pytest.mark.parametrize("language", ["en", "zh"])
def test_words_of_contexts(language: str):
    classes = contexts.character_classes(language)
    rng = random.Random(3)
    texts = ["".join(rng.choices(LETTERS, k=rng.randint(0, 12))) for _ in range(3000)]
    texts += [f"a{chr(code)}b" for code in range(0x3100) if not 0xD800 <= code < 0xE000]
    split = contexts.split(tf.constant(texts), classes)
    expected = [words.split(text, language) for text in texts]
    assert [[word.decode() for word in row] for row in split.words.to_list()] == [one.words for one in expected]
    assert split.starts.numpy().tolist() == [start for one in expected for start in one.starts]
    assert split.lengths.numpy().tolist() == [len(word) for one in expected for word in one.words]
    assert [text.decode() for text in split.text.numpy()] == texts


def test_words_of_contexts_with_tokenizer_options():
    tokens = ["[E1]", "[E1]x", "中国", "a\x07"]
    options = TokenizerOptions(tokenize_chinese_chars=False, never_split=tuple(tokens))
    rng = random.Random(5)
    texts = ["".join(rng.choices([*LETTERS, *tokens], k=rng.randint(0, 9))) for _ in range(3000)]
    split = contexts.split(tf.constant(texts), contexts.character_classes("zh", options), options.pattern())
    expected = [words.split(text, "zh", options) for text in texts]
    assert [[word.decode() for word in row] for row in split.words.to_list()] == [one.words for one in expected]
    assert split.starts.numpy().tolist() == [start for one in expected for start in one.starts]
    assert split.lengths.numpy().tolist() == [len(word) for one in expected for word in one.words]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=5), st.integers(1, 25))
@settings(max_examples=100, deadline=None)
def test_windows_and_their_context(sizes: list[tuple[int, int]], doc_stride: int):
    pieces, room = (tf.constant(values, tf.int64) for values in zip(*sizes, strict=True))
    windows = question_answering.divide(pieces, room, doc_stride)
    expected = [document_spans(*size, doc_stride) for size in sizes]
    spans_by_row = list(zip(windows.row.numpy(), windows.start.numpy(), windows.length.numpy(), strict=True))
    assert spans_by_row == [(row, *span) for row, spans in enumerate(expected) for span in spans or [(0, 0)]]
    positions = windows.start[:, None] + tf.range(20, dtype=tf.int64)
    best = question_answering.has_max_context(windows, positions)
    for number, (row, start, length) in enumerate(spans_by_row):
        own = int(windows.number[number])
        expected_best = [is_max_context(expected[row], own, start + position) for position in range(length)]
        assert best[number].numpy()[:length].tolist() == expected_best


@pytest.mark.slow
def test_hugging_face_directory_with_unanswerable_questions(tmp_path: Path):
    source = write_directory(tmp_path / "source", "BertForQuestionAnswering")
    flags = {"init_checkpoint": str(source), "export_dir": str(tmp_path / "exported")}
    path = runner.run(
        ExportConfig(**flags, version_2_with_negative=True, language="zh", null_score_diff_threshold=-9.0)
    )
    model = tf.saved_model.load(path)
    outputs = model.signatures["serving_default"](question=tf.constant(["a"]), context=tf.constant(["b c"]))
    assert outputs["answer"].numpy().tolist() == [b""]
    assert outputs["null_odds"].shape == (1,)
    assert json.loads((Path(path) / "assets/settings.json").read_text())["language"] == "zh"


def test_sentencepiece_is_an_error(tmp_path: Path):
    tiny.write_model_files(tmp_path)
    train = tiny.write_json(tmp_path / "train.json", tiny.squad(10, seed=1))
    tiny.run(tmp_path, train_file=train, do_train=True, num_train_epochs=0.0)
    spm = sentencepiece_model(tmp_path, control_symbols="[CLS],[SEP],[MASK]", normalization_rule_name="nmt_nfkc_cf")
    with pytest.raises(InputError, match=r"Question answering needs a WordPiece tokenizer"):
        export(tmp_path, spm_model_file=spm, bert_config_file=str(tmp_path / "bert_config.json"))


@pytest.mark.parametrize(("threshold", "shown"), [(-2.5, -2.5), (float("inf"), None), (float("-inf"), None)])
def test_settings_are_json(threshold: float, shown: float | None):
    parameters = AnswerParameters(version_2_with_negative=True, null_score_diff_threshold=threshold)
    settings = question_answering._settings(TaskDescription(version_2_with_negative=True), parameters)
    assert json.loads(json.dumps(settings, allow_nan=False))["null_score_diff_threshold"] == shown
