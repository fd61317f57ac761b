"""Records of large input: groups, worker processes, resuming, compression, Beam, the summary and its warnings."""

import dataclasses
import functools
import gzip
import json
import logging
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.full_disk import expect_full_disk
from helpers.repository import REPOSITORY
from helpers.run_directory import unlisted

from bert_tf2 import records
from bert_tf2.configs.tokenizer import TextTokenizerConfig
from bert_tf2.errors import InputError
from bert_tf2.io import atomic, run_files, text_shards
from bert_tf2.io.progress import Progress
from bert_tf2.pretraining_data import runner, shard
from bert_tf2.pretraining_data.runner import PretrainingDataConfig, create_pretraining_data

WORDS = [f"w{index}" for index in range(50)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Six text files of some documents each, and a vocabulary."""
    directory = tmp_path_factory.mktemp("input")
    rng = random.Random(1)
    for number in range(6):
        documents = ["\n".join(" ".join(rng.choices(WORDS, k=8)) for _ in range(6)) for _ in range(10)]
        (directory / f"{number}.txt").write_text("\n\n".join(documents) + "\n\n")
    (directory / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    return directory


def config(directory, output, **changes):
    values = {"max_seq_length": 32, "max_predictions_per_seq": 5, "dupe_factor": 2, "group_bytes": 4000, **changes}
    inputs = values.pop("input_file", f"{directory}/*.txt").replace("*", "[0-5]")
    return PretrainingDataConfig(
        input_file=inputs, output_file=str(output), vocab_file=f"{directory}/vocab.txt", **values
    )


def contents(directory):
    return {
        path.name: path.read_bytes() for path in sorted(directory.iterdir()) if not path.name.endswith("summary.json")
    }


@pytest.fixture(scope="module")
def parts(directory, tmp_path_factory):
    """The part files that one process makes."""
    out = tmp_path_factory.mktemp("parts")
    summary = create_pretraining_data(config(directory, f"{out}/"))
    return out, summary


def test_part_files_of_a_directory(directory, parts):
    out, summary = parts
    groups = text_shards.plan([str(directory / f"{number}.txt") for number in range(6)], 4000)
    assert len(groups) > 2
    assert unlisted(out, run_files.PRETRAINING_DATA) == []
    assert list(contents(out)) == [f"part-{index:05d}-of-{len(groups):05d}" for index in range(len(groups))]
    assert summary.documents == 60
    assert summary.sentences == 360
    assert summary.tokens == 360 * 8
    assert summary.bytes == sum(path.stat().st_size for path in directory.glob("[0-5].txt"))


def test_a_group_equals_its_files_alone(directory, parts, tmp_path):
    out, _ = parts
    group = text_shards.plan([str(directory / f"{number}.txt") for number in range(6)], 4000)[1]
    alone = ",".join(span.path for span in group.spans)
    create_pretraining_data(
        config(directory, tmp_path / "alone", input_file=alone, random_seed=12346, group_bytes=10**9)
    )
    assert (tmp_path / "alone").read_bytes() == (out / sorted(contents(out))[1]).read_bytes()


def test_named_files_contain_the_concatenated_groups(directory, parts, tmp_path):
    create_pretraining_data(config(directory, tmp_path / "one"))
    assert contents(tmp_path) == {"one": b"".join(contents(parts[0]).values())}


@pytest.mark.slow
def test_workers_change_nothing(directory, parts, tmp_path):
    summary = create_pretraining_data(config(directory, f"{tmp_path}/parts/", num_workers=2))
    assert contents(tmp_path / "parts") == contents(parts[0])
    assert summary.instances == parts[1].instances
    create_pretraining_data(config(directory, f"{tmp_path}/a,{tmp_path}/b", num_workers=3))
    create_pretraining_data(config(directory, f"{tmp_path}/c,{tmp_path}/d"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "c").read_bytes()
    assert (tmp_path / "b").read_bytes() == (tmp_path / "d").read_bytes()


def test_gzip_in_and_out(directory, parts, tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.txt").write_bytes(gzip.compress((directory / f"{number}.txt").read_bytes()))
    (tmp_path / "vocab.txt").write_bytes((directory / "vocab.txt").read_bytes())
    create_pretraining_data(config(tmp_path, tmp_path / "out.gz", compression="gzip", group_bytes=10**6))
    create_pretraining_data(config(directory, tmp_path / "out", group_bytes=10**6))
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == (tmp_path / "out").read_bytes()
    create_pretraining_data(config(directory, tmp_path / "grouped.gz", compression="gzip"))
    assert gzip.decompress((tmp_path / "grouped.gz").read_bytes()) == b"".join(contents(parts[0]).values())


class Died(Exception):
    pass


@pytest.fixture
def dying(monkeypatch):
    """Makes the third group die."""
    make = shard.make
    processed = []

    def make_or_die(job, advance):
        processed.append(job.group.index)
        if job.group.index == 2:
            raise Died
        return make(job, advance)

    monkeypatch.setattr(shard, "make", make_or_die)
    return processed


@pytest.mark.parametrize("output", ["", "named"])
def test_resume_keeps_finished_groups(directory, parts, tmp_path, dying, monkeypatch, output):
    out = tmp_path / "out"
    with pytest.raises(Died):
        create_pretraining_data(config(directory, f"{out}/{output}"))
    assert not (out / "named").exists()
    assert dying == [0, 1, 2]
    monkeypatch.undo()
    settings = config(directory, f"{out}/{output}")
    groups = text_shards.plan(settings.inputs, settings.group_bytes)
    atomic.unfinished_path(runner._job(settings, groups[2], len(groups)).outputs[0]).touch()  # as SIGKILL leaves it

    again = []
    make = shard.make
    monkeypatch.setattr(shard, "make", lambda job, advance: again.append(job.group.index) or make(job, advance))
    summary = create_pretraining_data(config(directory, f"{out}/{output}", resume=True))
    assert again == list(range(2, len(contents(parts[0]))))
    assert summary.instances == parts[1].instances
    assert b"".join(contents(out).values()) == b"".join(contents(parts[0]).values())
    assert not [name for name in os.listdir(out) if name.startswith(".")]


@pytest.mark.parametrize("output", ["", "named"])
def test_resume_of_a_run_that_has_finished_does_nothing(directory, parts, tmp_path, monkeypatch, caplog, output):
    caplog.set_level(logging.INFO)
    out = tmp_path / "out"
    create_pretraining_data(config(directory, f"{out}/{output}"))
    before = contents(out)

    def never(job, advance):
        raise Died

    monkeypatch.setattr(shard, "make", never)
    summary = create_pretraining_data(config(directory, f"{out}/{output}", resume=True))
    assert caplog.messages[-1] == f"Nothing to do: an earlier run of the same command finished {out}/{output}."
    assert summary.instances == parts[1].instances
    assert contents(out) == before
    with pytest.raises(Died):  # other flags
        create_pretraining_data(config(directory, f"{out}/{output}", resume=True, random_seed=1))
    with pytest.raises(Died):  # without the flag
        create_pretraining_data(config(directory, f"{out}/{output}"))
    truncated = out / next(iter(before))
    truncated.write_bytes(truncated.read_bytes()[:-1])
    with pytest.raises(Died):
        create_pretraining_data(config(directory, f"{out}/{output}", resume=True))


@pytest.mark.parametrize("output", ["", "named"])
def test_files_of_runs_with_other_groups_are_removed(directory, tmp_path, dying, monkeypatch, output):
    out = tmp_path / "out"
    with pytest.raises(Died):
        create_pretraining_data(config(directory, f"{out}/{output}"))
    monkeypatch.undo()
    for path in out.glob("part-*"):  # as the message of `_check_directory` asks for
        path.unlink()
    create_pretraining_data(config(directory, f"{out}/{output}", group_bytes=10**6))
    assert sorted(os.listdir(out)) == (
        ["named", "named.summary.json"] if output else ["part-00000-of-00001", "summary.json"]
    )


@pytest.mark.parametrize("changes", [{}, {"masking": "dynamic"}, {"no_nsp": True}, {"input_file": "packed"}], ids=str)
def test_the_progress_of_a_group_is_its_size(directory, tmp_path, changes):
    if changes.get("input_file"):
        (tmp_path / "text.gz").write_bytes(gzip.compress((directory / "0.txt").read_bytes()))
        changes = {"input_file": f"{tmp_path}/text.gz"}
    settings = config(directory, tmp_path / "out", group_bytes=10**6, **changes)
    (group,) = text_shards.plan(settings.inputs, settings.group_bytes)
    progress = []
    shard.make(runner._job(settings, group, 1), progress.append)
    assert min(progress) >= 0
    assert len(progress) >= 4
    assert sum(progress) == pytest.approx(group.size)


def test_progress_lines_of_several_groups(directory, parts, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    eager = functools.partial(Progress, seconds_between_lines=0)
    monkeypatch.setattr(runner, "Progress", eager)
    create_pretraining_data(config(directory, f"{tmp_path}/"))
    lines = [message for message in caplog.messages if message.startswith("Making records")]
    summary = parts[1]
    number = r"\d[\d.e-]*"
    assert re.fullmatch(rf"Making records: 0\.0 of 0\.0 MB \({number} %\), {number} MB/s, \d+ s left", lines[0])
    end = f"0 s left, {summary.documents} documents, {summary.instances:,} instances"
    assert lines[-1].endswith(end)
    assert "(100 %)" in lines[-1]


def test_resume_ignores_groups_of_other_flags(directory, parts, tmp_path, dying, monkeypatch):
    with pytest.raises(Died):
        create_pretraining_data(config(directory, f"{tmp_path}/", random_seed=1))
    monkeypatch.undo()
    create_pretraining_data(config(directory, f"{tmp_path}/", resume=True))
    assert contents(tmp_path) == contents(parts[0])


def test_errors_in_a_worker_keep_their_message(directory, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"b\xe9d\n" * 1000)
    inputs = f"{directory}/0.txt,{tmp_path}/bad.txt"
    with pytest.raises(InputError, match=r"bad\.txt, line 1: byte 2 of the line"):
        create_pretraining_data(config(directory, f"{tmp_path}/out/", input_file=inputs, num_workers=2))


@pytest.mark.parametrize("group_bytes", [4000, 1_000_000])
def test_a_full_disk_names_the_output(directory, tmp_path, group_bytes):
    """The message names the output, not the hidden file of a group."""
    output = tmp_path / "out" / "a"
    settings = config(directory, f"{output},{output}2", group_bytes=group_bytes)
    expect_full_disk(output, 1000, lambda: create_pretraining_data(settings))
    assert os.listdir(output.parent) == []


def test_parts_of_another_run_are_not_mixed(directory, tmp_path):
    (tmp_path / "part-00000-of-00099").touch()
    with pytest.raises(InputError, match="has part-00000-of-00099 of another run; remove it or give another directory"):
        create_pretraining_data(config(directory, f"{tmp_path}/"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"group_bytes": 0}, "--group_bytes=0; it must be at least 1"),
        ({"num_workers": 0}, "--num_workers=0; it must be at least 1"),
        ({"compression": "bz2"}, "Unknown --compression 'bz2'; choose one of none, gzip"),
    ],
)
def test_impossible_values(directory, tmp_path, change, sentence):
    with pytest.raises(InputError, match=sentence):
        config(directory, tmp_path / "out", **change)


def test_summary(directory, parts, caplog):
    out, summary = parts
    written = json.loads((out / "summary.json").read_text())
    assert written["instances"] == summary.instances
    assert written["random_next_share"] == summary.random_next / summary.instances
    assert 0.4 < written["random_next_share"] < 0.75
    assert written["unknown_rate"] == 0
    assert 0 < written["padding_share"] < 0.5
    assert written["config"]["dupe_factor"] == 2
    assert written["outputs"] == [str(path) for path in sorted(out.glob("part-*"))]


@pytest.mark.parametrize(
    ("pieces", "do_lower_case", "sentence"),
    [
        (["The", "Cat", "##s", "sat"], True, "50 % of the pieces of .* have capital letters"),
        (["the", "cat", "##s", "sat"], False, "No piece of .* has a capital letter"),
        (["The", "Cat", "##s", "sat"], False, None),
        (["the", "cat", "##s", "sat"], True, None),
        (["。", "猫", "##鱼"], False, None),
    ],
)
def test_case_of_the_vocabulary(directory, tmp_path, caplog, pieces, do_lower_case, sentence):
    vocab = tmp_path / "vocab.txt"
    vocab.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]) + "\n")
    caplog.set_level(logging.WARNING)
    settings = PretrainingDataConfig(
        input_file=f"{directory}/0.txt",
        output_file=str(tmp_path / "out"),
        vocab_file=str(vocab),
        do_lower_case=do_lower_case,
    )
    runner._warn_about_vocabulary(settings)
    if sentence is None:
        assert not caplog.messages
    else:
        (message,) = caplog.messages
        assert re.match(sentence, message)


def test_no_tensorflow_is_needed(directory, tmp_path):
    program = (
        "import sys; sys.modules['tensorflow'] = None; sys.argv = ['x', *sys.argv[1:]]\n"
        "import runpy; runpy.run_path('create_pretraining_data.py', run_name='__main__')"
    )
    flags = [f"--input_file={directory}/0.txt", f"--vocab_file={directory}/vocab.txt", f"--output_file={tmp_path}/out"]
    subprocess.run([sys.executable, "-c", program, *flags], check=True, cwd=REPOSITORY, capture_output=True)
    assert (tmp_path / "out").stat().st_size > 1000


LINES_OF_WORDS = {"line_by_line": True, "eval_fraction": 0.2, "do_whole_word_mask": True, "segmented_text": True}


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, LINES_OF_WORDS], ids=["pairs", "lines"])
def test_beam_writes_the_same_bytes(directory, parts, tmp_path, changes):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed (pip install '.[beam]')")
    flags = {
        "input_file": f"{directory}/[0-5].txt",
        "vocab_file": f"{directory}/vocab.txt",
        "output_file": f"{tmp_path}/beam/",
        "max_seq_length": 32,
        "max_predictions_per_seq": 5,
        "dupe_factor": 2,
        "group_bytes": 4000,
        "runner": "DirectRunner",
        "direct_num_workers": 2,
        "direct_running_mode": "multi_processing",
        **changes,
    }
    expected = parts[0]
    if changes:
        with open(tmp_path / "rows.jsonl", "w") as file:
            for line in (directory / "0.txt").read_text().splitlines() * 9:
                file.write(json.dumps({"text": line}) + "\n")
        flags["input_file"], expected = f"{tmp_path}/rows.jsonl", tmp_path / "local"
        create_pretraining_data(config(directory, f"{expected}/", input_file=flags["input_file"], **changes))
        assert "eval.tf_record" in contents(expected)
    command = [sys.executable, str(REPOSITORY / "create_pretraining_data.py")]
    done = subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in flags.items())], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "beam") == contents(expected)


def test_runner_without_beam(directory, tmp_path, monkeypatch):
    from bert_tf2.pretraining_data import beam_runner

    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(InputError, match="--runner needs Apache Beam: python -m pip install"):
        beam_runner.run([], lambda job, summary: None, ["--runner=DirectRunner"])


def test_flags_for_beam_need_a_runner(directory, tmp_path):
    command = [sys.executable, str(REPOSITORY / "create_pretraining_data.py"), "--direct_num_workers=2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "there is no flag --direct_num_workers" in done.stderr
    assert not Path(tmp_path / "out").exists()


def decoded(path, schema):
    import tensorflow as tf

    (batch,) = [schema.parse(batch) for batch in tf.data.TFRecordDataset(str(path)).batch(10**6)]
    return {name: value.numpy() for name, value in batch.items()}


def test_dynamic_masking_omits_the_masks(directory, tmp_path):
    create_pretraining_data(config(directory, tmp_path / "static", group_bytes=10**6))
    summary = create_pretraining_data(config(directory, tmp_path / "dynamic", group_bytes=10**6, masking="dynamic"))
    static = decoded(tmp_path / "static", records.pretraining(32, 5))
    dynamic = decoded(tmp_path / "dynamic", records.pretraining(32, 5, masked=False))
    assert set(dynamic) == {"input_ids", "input_mask", "segment_ids", "next_sentence_labels"}
    for name in ("input_mask", "segment_ids", "next_sentence_labels"):
        np.testing.assert_array_equal(dynamic[name], static[name])
    rows, slots = np.nonzero(static["masked_lm_weights"])
    static["input_ids"][rows, static["masked_lm_positions"][rows, slots]] = static["masked_lm_ids"][rows, slots]
    np.testing.assert_array_equal(dynamic["input_ids"], static["input_ids"])
    assert summary.masked_tokens == 0


@pytest.mark.parametrize("masking", ["static", "dynamic"])
def test_full_sentences_without_pairs(directory, tmp_path, masking):
    options = {"no_nsp": True, "masking": masking, "group_bytes": 10**6}
    summary = create_pretraining_data(config(directory, tmp_path / "out", **options))
    schema = records.pretraining(32, 5, masked=masking == "static", next_sentence=False)
    rows = decoded(tmp_path / "out", schema)
    assert not rows["segment_ids"].any()
    assert summary.instances == len(rows["input_ids"])
    tokens = summary.positions - summary.padding
    assert tokens == rows["input_mask"].sum()
    assert summary.masked_tokens == (rows["masked_lm_weights"].sum() if masking == "static" else 0)
    rounds = 2 if masking == "static" else 1  # copies without masks would be the same
    words = tokens - 2 * summary.instances - (summary.documents - 1) * rounds  # a [SEP] between documents, at most
    assert 0 <= summary.tokens * rounds - words <= summary.documents * rounds


def test_sentencepiece_model(directory, tmp_path):
    call = [sys.executable, str(REPOSITORY / "build_vocab.py"), "--type=sentencepiece", "--vocab_size=120"]
    model = tmp_path / "m.model"
    subprocess.run(
        [*call, f"--input_file={directory}/0.txt", f"--output_file={model}"], check=True, capture_output=True
    )
    changes = {"spm_model_file": str(model), "vocab_file": None, "group_bytes": 10**6}
    outputs = []
    for name, alpha, seed in (("a", 0.0, 1), ("b", 0.3, 1), ("c", 0.3, 1), ("d", 0.3, 2)):
        settings = dataclasses.replace(config(directory, tmp_path / name), **changes, spm_alpha=alpha, random_seed=seed)
        summary = create_pretraining_data(settings)
        assert summary.unknown_tokens == 0
        outputs.append((tmp_path / name).read_bytes())
    assert outputs[1] == outputs[2]
    assert len(set(outputs)) == 3


def test_either_vocabulary_or_model(directory, tmp_path):
    with pytest.raises(InputError, match="Give either --vocab_file or --spm_model_file"):
        dataclasses.replace(config(directory, tmp_path / "a"), vocab_file=None)
    with pytest.raises(InputError, match="--spm_alpha is for a SentencePiece model; give"):
        config(directory, tmp_path / "a", spm_alpha=0.1)


def test_rules_of_the_tokenizer(tmp_path):
    """Tokens are not split, accents are kept, Chinese characters are joined."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "é", "##a", "a", "[DRUG]", "中国", "e"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (tmp_path / "text.txt").write_text("Éa[DRUG] 中国a\n\na é[DRUG]a\n", encoding="utf-8")
    pieces_of = {}
    for name, flags in (
        ("plain", TextTokenizerConfig()),
        ("other", TextTokenizerConfig(strip_accents=False, tokenize_chinese_chars=False, never_split="[DRUG]")),
    ):
        options = {"input_file": f"{tmp_path}/text.txt", "do_whole_word_mask": True, "masking": "dynamic"}
        create_pretraining_data(config(tmp_path, tmp_path / name, tokenizer=flags, dupe_factor=1, **options))
        ids = np.unique(decoded(tmp_path / name, records.pretraining(32, 5, masked=False))["input_ids"])
        pieces_of[name] = {pieces[index] for index in ids} - {"[PAD]", "[CLS]", "[SEP]"}
    assert pieces_of == {"plain": {"##a", "[UNK]", "a", "e"}, "other": {"##a", "[DRUG]", "a", "é", "中国"}}
