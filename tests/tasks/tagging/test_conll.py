"""CoNLL-style files: what is read, what is rejected, and that a prediction has the format of its input."""

import gzip
import tracemalloc
from pathlib import Path

import pytest
from helpers.repository import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st

from bert_tf2.errors import InputError
from bert_tf2.io import spilled
from bert_tf2.tasks.tagging import conll
from bert_tf2.tasks.tagging.schemes import Scheme

TABS = "Empire\tB-loc\nState\tI-loc\n\t\nis\tO\nhigh\tO\n\n"


def read(directory: Path, content: str | bytes, token_column: int = 0, tag_column: int | None = -1) -> conll.Sentences:
    path = directory / "a.conll"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return conll.read(str(path), token_column, tag_column)


def sentences_of(sentences: conll.Sentences) -> list[list[str]]:
    return [list(words) for words in sentences.split(sentences.words)]


def test_words_tags_and_locations(tmp_path: Path) -> None:
    sentences = read(tmp_path, TABS)
    assert sentences_of(sentences) == [["Empire", "State"], ["is", "high"]]
    assert sentences.tags == ["B-loc", "I-loc", "O", "O"]
    assert len(sentences) == 2
    assert sentences.location(2) == f"{tmp_path}/a.conll, line 4"


@pytest.mark.parametrize(
    ("content", "columns", "words", "tags"),
    [
        ("a NN B-x O\nb VB I-x B-y\n", (0, -1), ["a", "b"], ["O", "B-y"]),
        ("a NN B-x O\nb VB I-x B-y\n", (0, 2), ["a", "b"], ["B-x", "I-x"]),
        ("1\ta\tO\n2\tb\tB\n", (1, 2), ["a", "b"], ["O", "B"]),
        ("1\ta\tO\n2\tb\tB\n", (-2, -1), ["a", "b"], ["O", "B"]),
        ("B-x first\nI-x second\n", (1, 0), ["first", "second"], ["B-x", "I-x"]),
        ("a   O  \n b O\n", (0, -1), ["a", "b"], ["O", "O"]),
        ("New York\tB-x\na\tO\n", (0, -1), ["New York", "a"], ["B-x", "O"]),
        ("\tO\n \tO\n", (0, -1), ["", ""], ["O", "O"]),
        ("\ufeffa O\r\nb B-x\r\n", (0, -1), ["a", "b"], ["O", "B-x"]),
        ("北 B-地\n京 I-地\n", (0, -1), ["北", "京"], ["B-地", "I-地"]),
        ("a\u00a0b O\nc\u2028d O\n", (0, -1), ["a\u00a0b", "c\u2028d"], ["O", "O"]),
    ],
)
def test_formats(tmp_path: Path, content: str, columns: tuple[int, int], words: list[str], tags: list[str]) -> None:
    sentences = read(tmp_path, content, *columns)
    assert (sentences.words, sentences.tags) == (words, tags)
    assert len(sentences) == 1


def test_documents_separate_sentences_and_are_not_words(tmp_path: Path) -> None:
    sentences = read(tmp_path, "-DOCSTART- -X- O\n\na NN O\n-DOCSTART- (2)\nb NN B-x\n-DOCSTART- -X- O\n")
    assert sentences_of(sentences) == [["a"], ["b"]]
    assert list(conll.lines_with_tags(sentences, ["B-y", "I-y"])) == [
        "-DOCSTART- -X- O O",
        "",
        "a NN O B-y",
        "-DOCSTART- (2)",
        "b NN B-x I-y",
        "-DOCSTART- -X- O O",
    ]


CASES = REPOSITORY / "tests" / "cases"


@pytest.mark.parametrize(
    ("name", "words", "tags"),
    [
        ("conllu_comment.conll", ["Peter", "ran"], ["B-PER", "O"]),
        ("multiconer4.conll", ["sonny", "sharrock", "ran"], ["B-PER", "I-PER", "O"]),
        ("zh_space_tab.txt", ["今", "天", "", "我", "在", "北", "京"], ["O", "O", "O", "O", "O", "B-LOC", "I-LOC"]),
    ],
)
@pytest.mark.parametrize("with_tags", [True, False])
def test_comments_in_public_formats(name: str, words: list[str], tags: list[str], with_tags: bool) -> None:
    sentences = conll.read(str(CASES / name), 0, -1 if with_tags else None)
    assert all(sentence == words for sentence in sentences_of(sentences))
    assert sentences.tags is None or sentences.tags == tags * len(sentences)
    comments = [index for index, line in enumerate(sentences.lines) if line.startswith("#")]
    assert sentences.comments == comments
    predicted = list(conll.lines_with_tags(sentences, ["O"] * len(sentences.words)))
    assert [predicted[index] for index in comments] == [sentences.lines[index] for index in comments]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        # Comments.
        ("# newdoc id = 1\n# text = So do I\nso\tO\n", ["so"]),
        ("# newdoc\na\tO\nb\tO\n", ["a", "b"]),
        ("# sent_id = 1\na O\nb O\n", ["a", "b"]),
        ("a NN O\n\n# id a1\tdomain=en\nb NN O\n", ["a", "b"]),
        ("# id 5\na O\n", ["a"]),
        ("#begin document (x); part 000\na NN O\n\n#end document\n", ["a"]),
        # Words.
        ("#\tO\na\tO\n", ["#", "a"]),
        ("# O\na O\n", ["#", "a"]),
        ("# I-x\na O\n", ["#", "a"]),
        ("a O\n# O\n#tag O\n", ["a", "#", "#tag"]),
        ("#tag\tO\n\n#2\tO\n", ["#tag", "#2"]),
        ("# # B-NP O\na NN B-NP O\n", ["#", "a"]),
        ("# a\tO\nb\tO\n", ["# a", "b"]),
        ("# O\n\n# B-x\n", ["#", "#"]),
    ],
)
def test_comments_and_words_with_the_same_beginning(tmp_path: Path, content: str, words: list[str]) -> None:
    assert read(tmp_path, content).words == words


def test_without_tags(tmp_path: Path) -> None:
    sentences = read(tmp_path, "a\nb\n\nc\n", tag_column=None)
    assert sentences_of(sentences) == [["a", "b"], ["c"]]
    assert sentences.tags is None
    assert list(conll.lines_with_tags(sentences, ["O", "B-x", "O"])) == ["a O", "b B-x", "", "c O"]


@pytest.mark.parametrize("tag_column", [-1, None])
def test_large_files_are_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag_column: int | None
) -> None:
    """Lines and words that exceed memory are in files; only a few numbers per word remain in memory."""
    monkeypatch.setattr(spilled, "MOST_IN_MEMORY", 100_000)
    path = tmp_path / "a.conll"
    path.write_text("".join(f"{'word' * 20}{number}\tB-{'name' * 20}\n\n" for number in range(20_000)))
    tracemalloc.start()
    sentences = conll.read(str(path), 0, tag_column, directory=str(tmp_path))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < path.stat().st_size / 4
    assert list(tmp_path.iterdir()) == [path]  # the temporary files have no names
    assert (len(sentences), len(sentences.words), len(sentences.lines)) == (20_000, 20_000, 40_000)
    assert sentences.words[12_345] == f"{'word' * 20}12345"
    assert list(conll.lines_with_tags(sentences, ["O"] * 20_000))[-2:] == [f"{sentences.lines[39_998]}\tO", ""]


def test_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(TABS.encode()))
    assert conll.read(str(tmp_path / "a.gz"), 0, -1).words == ["Empire", "State", "is", "high"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "a.conll has no words; expected one word per line"),
        ("\n-DOCSTART- O\n \t\n", "a.conll has no words"),
        ("a O\nb\n", "a.conll, line 2 has 1 column, but line 1 has 2; expected the same number for every word"),
        ("\na O\nb c O\n", "line 3 has 3 columns, but line 2 has 2; .* need tabs"),
        ("a\nb\n", r"line 1 has 1 column: --token_column=0 and --tag_column=-1 are the same column"),
        ("a O\nb PER\n", "line 2 has the tag 'PER'; expected O, B-type or I-type .* Is --tag_column right"),
        ("a S-PER\nb U-PER\n", r"tags of two schemes: S, U before types; .* Is --tag_column right"),
        ("a O\nb B-\n", "line 2 has the tag 'B-'"),
        ("a O\nb B+PER\n", r"line 2 has the tag 'B\+PER'; expected O, B-type or I-type"),
        ("a O\n# text b\n", "line 2 has 3 columns, but line 1 has 2"),
        ("a b\nc d .\n", "line 1 has the tag 'b'"),
        ("a\tO\nb\t\n", "line 2 has no tag"),
        (b"a O\nb\xff O\n", r"line 2: byte 2 of the line \(0xff\) is not UTF-8"),
    ],
)
def test_invalid_files(tmp_path: Path, content: str | bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ((2, -1), "line 1 has 2 columns, so there is no --token_column=2; they are numbered from 0 to 1"),
        ((0, 2), "there is no --tag_column=2"),
        ((0, -3), "there is no --tag_column=-3; .* or from the end from -1 to -2"),
        ((1, 1), "--token_column=1 and --tag_column=1 are the same column"),
        ((1, -1), "are the same column"),
    ],
)
def test_missing_columns(tmp_path: Path, columns: tuple[int, int], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, "a O\nb O\n", *columns)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*none\.conll: No such file"):
        conll.read(str(tmp_path / "none.conll"), 0, -1)


@pytest.mark.parametrize(
    ("name", "scheme", "tags"),
    [
        ("bioes.conll", Scheme("IOBES"), ["B-PER", "I-PER", "O", "B-PER", "O"]),
        ("underscore.conll", Scheme("BIO", "_"), ["B-PER", "I-PER", "O"]),
    ],
)
def test_other_schemes_are_read_as_bio(name: str, scheme: Scheme, tags: list[str]) -> None:
    sentences = conll.read(str(CASES / name), 0, -1)
    assert sentences.scheme == scheme
    assert sentences.tags == tags * len(sentences)
    untagged = conll.read(str(CASES / name), 0, None)
    tagged = conll.with_tag_column(untagged, -1, 0)
    assert tagged is not None
    assert (tagged.scheme, tagged.tags) == (scheme, sentences.tags)


@pytest.mark.parametrize(("comments", "words"), [("yes", ["a", "# O", "b"]), ("no", ["#", "#tag", "a", "# O", "b"])])
def test_comment_mode(tmp_path: Path, comments: conll.CommentMode, words: list[str]) -> None:
    path = tmp_path / "a.conll"
    path.write_text("#\tO\n#tag\tO\na\tO\n# O\tO\nb\tO\n")
    assert conll.read(str(path), 0, -1, comments).words == words


def test_columns_without_tags(tmp_path: Path) -> None:
    for content in ("a\nb\n", "a O\nb O\n", "a NN\nb VB\n"):
        assert conll.with_tag_column(read(tmp_path, content, tag_column=None), -1, 0) is None


WORD = st.text(st.characters(exclude_characters="\n\r\t \ufeff", exclude_categories=("Cs",)), min_size=1, max_size=5)
TAG = st.sampled_from(["O", "B-x", "I-x", "B"])
LINE = st.one_of(
    st.builds("{}\t{}".format, WORD, TAG),
    st.builds("{}  {} ".format, WORD, TAG),
    st.sampled_from(["", "\t", " ", "-DOCSTART-", "-DOCSTART- O", "a b\tO", "a\tO\r"]),
)


@given(st.lists(LINE, min_size=1), WORD, TAG)
def test_a_prediction_has_the_format_of_its_input(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], word: str, tag: str
) -> None:
    lines.append(f"{word} {tag}")
    path = tmp_path_factory.mktemp("files") / "a.conll"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    sentences = conll.read(str(path), 0, -1)
    predicted = [["B-new", "I-new", "O"][index % 3] for index in range(len(sentences.words))]
    path.write_bytes("".join(f"{line}\n" for line in conll.lines_with_tags(sentences, predicted)).encode())
    assert len(list(conll.lines_with_tags(sentences, predicted))) == len(lines)
    for line, new in zip(lines, conll.lines_with_tags(sentences, predicted), strict=True):
        assert new.startswith(line.removesuffix("\r").rstrip(" ") if line.strip() else line)
    with_predictions, with_truths = conll.read(str(path), 0, -1), conll.read(str(path), 0, -2)
    assert with_predictions.tags == predicted
    assert (with_predictions.words, with_truths.tags) == (sentences.words, sentences.tags)
    assert with_predictions.row_splits.tolist() == sentences.row_splits.tolist()
