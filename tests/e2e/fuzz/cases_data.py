"""Bad texts, tables, questions, words, vocabularies and records."""

import gzip
import json
from collections.abc import Callable

from e2e.fuzz.fuzzing import PIECES, RUN_DIRECTORY, WORDS, Case, Table, choices, squad, with_values

DEEP = "[" * 100_000
LONG = "9" * 5000
CHINESE = "今天天气很好，我们在公园里散步。\n"

CASES = Table()

# --- Encodings: every reader of text ---------------------------------------------------------------------------------

_READERS = {
    "create": ("text.txt", "input_file"),
    "vocab": ("text.txt", "input_file"),
    "classify": ("train.csv", "train_file"),
    "classify_predict": ("train.csv", "predict_file"),
    "tag": ("train.conll", "train_file"),
    "features": ("text.txt", "input_file"),
    "fill": ("masked.txt", "predict_file"),
    "score": ("text.txt", "text_file"),
}
for command, (name, _) in _READERS.items():
    for encoding, says in (
        ("utf-16", "looks like UTF-16: convert it with iconv -f UTF-16 -t UTF-8"),
        ("gb18030", "looks like GB18030: convert it with iconv -f GB18030 -t UTF-8"),
        ("latin-1", "is not UTF-8; convert the text to UTF-8"),
    ):
        text = "Café noir, très bon\n" if encoding == "latin-1" else CHINESE
        if name.endswith(".csv"):  # which is read in the encoding that is detected
            says = "but no rows"
        CASES[f"{command}: {name} in {encoding}"] = Case(command, says, {name: text.encode(encoding)})
CASES |= {
    "text in Shift JIS": Case("create", "looks like CP932", {"text.txt": "今日はとても良い天気です。".encode("cp932")}),
    "text in EUC-KR": Case(
        "create", "looks like CP949", {"text.txt": "안녕하세요 오늘은 날씨가 좋습니다".encode("cp949")}
    ),
    "text in Big5": Case("create", "looks like BIG5", {"text.txt": "今天天氣很好，我們去公園。".encode("big5")}),
    "vocabulary in UTF-16": Case("create", "looks like UTF-16", {"vocab.txt": "\n".join(PIECES).encode("utf-16")}),
    "labels in Latin-1": Case(
        "classify", "is not UTF-8", {"l.txt": "gut\nschön\n".encode("latin-1")}, {"labels_file": "l.txt"}
    ),
}

# --- Files that are missing, empty, directories or truncated gzip ----------------------------------------------------

_TRUNCATED = gzip.compress(b"text,label\n" + b"w1 w2,a\n" * 1000)[:50]
_TRUNCATED_WORDS = gzip.compress(b"w1\tO\n" * 1000)[:-1]
for command, (name, flag) in {**_READERS, "squad": ("squad.json", "train_file")}.items():
    CASES[f"{command}: no {name}"] = Case(command, "none|No such file|no file matches", flags={flag: "none.csv"})
    CASES[f"{command}: {name} is a directory"] = Case(command, "directory|folder", {name: None, f"{name}/a": "b"})
    CASES[f"{command}: {name} is empty"] = Case(command, name.replace(".", r"\.") + "|empty|no text", {name: ""})
    CASES[f"{command}: {name} is gzip, cut"] = Case(
        command, "corrupt|truncated", {name: _TRUNCATED_WORDS if name.endswith(".conll") else _TRUNCATED}
    )
del CASES["features: text.txt is empty"], CASES["fill: masked.txt is empty"]  # whose output is empty, too

# --- Vocabularies ----------------------------------------------------------------------------------------------------

for name, content, says in (
    ("empty", "", "vocab.txt"),
    ("a piece twice", "\n".join([*PIECES, "w1"]), "w1"),
    ("no [CLS]", "\n".join(piece for piece in PIECES if piece != "[CLS]"), r"\[CLS\]"),
    ("JSON", json.dumps({"a": 1}), "vocab.txt"),
    ("bytes", bytes(range(256)), "vocab.txt"),
):
    CASES[f"vocabulary: {name}"] = Case("create", says, {"vocab.txt": content})
CASES |= {
    "vocabulary: larger than the model": Case(
        "classify", "--grow_vocab", {"vocab.txt": "\n".join([*PIECES, *(f"x{n}" for n in range(50))])}
    ),
    "spm model: text": Case("create", "m.model", {"m.model": "no"}, {"vocab_file": None, "spm_model_file": "m.model"}),
    "spm model: empty": Case("create", "m.model", {"m.model": ""}, {"vocab_file": None, "spm_model_file": "m.model"}),
    "build_vocab: too small": Case("vocab", "--vocab_size=20 is too small", flags={"vocab_size": 20}),
    "build_vocab: extends what has no slots": Case("extend", "unused", flags={"extend": "vocab.txt"}),
    "build_vocab: a directory as output": Case("vocab", "folder|directory", {"d/a": ""}, {"output_file": "d"}),
    "build_vocab: overwrites its input": Case("vocab", "is read by", flags={"output_file": "text.txt"}),
}

# --- Tables ----------------------------------------------------------------------------------------------------------

_TABLE = {"train_file": "t.jsonl"}
for name, content, says in (
    ("no JSON", '{"text": "a"\n', "t.jsonl, line 1 is not JSON"),
    ("a list", '["a", "b"]\n', "line 1 holds a list"),
    ("nested", DEEP + "\n", "nested too deeply"),
    ("nested inside", '{"text": "a", "label": ' + DEEP + "\n", "nested too deeply"),
    ("a long number", f'{{"text": "a", "label": {LONG}}}\n', "digits"),
    ("NaN", '{"text": "a", "label": NaN}\n', "NaN is not a JSON number"),
    ("beyond float64", '{"text": "a", "label": 1e999}\n', "out of range"),
    ("a number as text", '{"text": 1, "label": "a"}\n', "line 1"),
    ("null as text", '{"text": null, "label": "a"}\n', "line 1"),
    ("a label that is an object", '{"text": "a", "label": {"b": 1}}\n{"text": "a", "label": "b"}\n', "line 1"),
    (
        "half a character as label",
        '{"text": "a", "label": "\\ud800"}\n{"text": "b", "label": "c"}\n',
        "an unpaired surrogate",
    ),
    (
        "half a character in labels",
        '{"text": "a", "label": ["\\ud800"]}\n{"text": "b", "label": ["c"]}\n',
        "an unpaired surrogate",
    ),
    ("a line end as label", '{"text": "a", "label": "x\\ny"}\n{"text": "b", "label": "c"}\n', "label"),
    ("no label", '{"text": "a"}\n', "label"),
):
    CASES[f"JSON Lines: {name}"] = Case("classify", says, {"t.jsonl": content}, _TABLE)
for name, content, says in (
    ("an open quote", 'text,label\n"a,b\n', "train.csv"),
    ("ragged", "text,label\na,b\na,b,c\n", "line 3"),
    ("a header alone", "text,label\n", "but no rows"),
    ("other columns", "a,b\nc,d\n", "no column 'text'"),
    ("one label", "text,label\na,x\nb,x\n", "label"),
    ("no end in UTF-8", b"text,label\na,\xe2\x82", "is not UTF-8"),
):
    CASES[f"CSV: {name}"] = Case("classify", says, {"train.csv": content})
CASES["table: unknown ending"] = Case("classify", "unknown kind of file", {"t.docx": "PK"}, {"train_file": "t.docx"})
CASES["table: no workbook"] = Case("classify", "Cannot read t.xlsx", {"t.xlsx": "PK"}, {"train_file": "t.xlsx"})
CASES["spans: overlapping"] = Case(
    "tag", "overlap", {"t.jsonl": '{"text": "a b", "label": [[0, 3, "x"], [2, 3, "y"]]}'}, {"train_file": "t.jsonl"}
)
CASES["labels: twice"] = Case("classify", "line 2 repeats the label", {"l.txt": "a\na\n"}, {"labels_file": "l.txt"})
CASES["labels: others than the data's"] = Case(
    "classify", "unknown label", {"l.txt": "a\nb\n"}, {"labels_file": "l.txt"}, leaves=RUN_DIRECTORY
)

# --- Questions -------------------------------------------------------------------------------------------------------


def _question(**changes: object) -> str:
    content = squad()
    question = {**content["data"][0]["paragraphs"][0]["qas"][0], **changes}
    content["data"][0]["paragraphs"][0]["qas"][0] = {key: value for key, value in question.items() if value is not ...}
    return json.dumps(content)


for name, content, says in (
    ("no JSON", "{", "squad.json is not JSON"),
    ("cut", json.dumps(squad())[:100], "squad.json is not JSON"),
    ("JSON Lines", '{"a": 1}\n{"a": 1}\n', "named .jsonl"),
    ("a list", "[]", "no questions"),
    ("text", '"a"', "expected an object"),
    ("nested", DEEP, "nested too deeply"),
    ("nested inside", '{"data": ' + DEEP, "nested too deeply"),
    ("a long number", f'{{"data": {LONG}}}', "digits"),
    ("no data", '{"version": 1}', "no 'data'"),
    ("data that is text", '{"data": "a"}', "expected a list"),
    ("articles that are numbers", '{"data": [1]}', "expected an object"),
    ("no questions", '{"data": []}', "no questions"),
    ("no context", '{"data": [{"paragraphs": [{"qas": []}]}]}', "no 'context'"),
    ("a question that is a list", _question(question=[]), "question"),
    ("answers that are text", _question(answers="w3"), "answers"),
    ("a start beyond the context", _question(answers=[{"text": "w3", "answer_start": 10**30}]), "answer_start"),
    ("a start of text", _question(answers=[{"text": "w3", "answer_start": "0"}]), "answer_start"),
    ("a start that is true", _question(answers=[{"text": "w3", "answer_start": True}]), "answer_start"),
    ("is_impossible of text", _question(is_impossible="no"), "is_impossible"),
    ("no is_impossible", _question(is_impossible=...), "is_impossible"),
    ("an id that is a list", _question(id=[1]), "'id'"),
    ("GBK", json.dumps({"data": CHINESE * 9}, ensure_ascii=False).encode("gb18030"), "looks like GB18030"),
):
    CASES[f"questions: {name}"] = Case("squad", says, {"squad.json": content})
for name, content, says in (
    ("no JSON", "{\n", "q.jsonl, line 1 is not JSON"),
    ("nested", DEEP + "\n", "nested too deeply"),
    ("a list", "[1]\n", "expected an object"),
    ("no context", '{"question": "a"}\n', "no 'context'"),
    ("empty", "", "q.jsonl"),
):
    CASES[f"questions, lines: {name}"] = Case("squad_predict", says, {"q.jsonl": content}, {"predict_file": "q.jsonl"})

# --- Questions with choices ------------------------------------------------------------------------------------------

_GOOD = choices()
_LABEL = "must be a number from 0 to 1 or a letter from A to B"
for name, content, says in (
    ("no JSON", "{\n", "choices.jsonl, line 1 is not JSON"),
    ("cut", _GOOD + _GOOD[:20], "choices.jsonl, line 2 is not JSON"),
    ("a list", "[1]\n", "line 1 holds a list"),
    ("nested", DEEP + "\n", "nested too deeply"),
    ("nested inside", '{"context": "a", "endings": ' + DEEP + "\n", "nested too deeply"),
    ("a long number", f'{{"context": "a", "label": {LONG}}}\n', "digits"),
    ("NaN", '{"context": "a", "label": NaN}\n', "NaN is not a JSON number"),
    ("empty", "", "choices.jsonl"),
    ("no context", _GOOD + choices(context=...), "line 2 has 'question', 'endings', 'label'; expected context"),
    ("a context that is a number", choices(context=1), "line 1: context"),
    ("a context that is null", choices(context=None), "line 1 has no context"),
    ("a question that is a list", choices(question=["w1"]), "line 1: question"),
    ("half a character", choices(context="\ud800"), "not valid Unicode|unpaired surrogate"),
    ("no choices", choices(endings=...), "line 1 has 0 choices; there must be at least 2"),
    ("one choice", _GOOD + choices(endings=["w4"]), "line 2 has 1 choice;"),
    ("choices that are text", choices(endings="w4 w5"), "line 1: endings"),
    ("choices that are an object", choices(endings={"a": "w4"}), "line 1: endings"),
    ("a choice that is a number", choices(endings=["w4", 5]), "the choice 5; each must be a text"),
    ("a choice that is blank", choices(endings=["w4", "  "]), "the choice '  '; each must be a text"),
    ("a choice that is a list", choices(endings=["w4", ["w5"]]), "each must be a text"),
    ("no label", choices(label=...), _LABEL),
    ("a label beyond", choices(label=2), f"has 2 as label of 2 choices; it {_LABEL}"),
    ("a label below", choices(label=-1), f"has -1 as label of 2 choices; it {_LABEL}"),
    ("a label of 30 digits", choices(label=10**30), _LABEL),
    ("a label of digits as text", choices(label="9" * 30), _LABEL),
    ("a label that is a fraction", choices(label=0.5), _LABEL),
    ("a label that is true", choices(label=True), _LABEL),
    ("a label that is a word", choices(label="w4"), _LABEL),
    ("a letter beyond", choices(label="C"), _LABEL),
    ("a label that is a list", choices(label=[0]), _LABEL),
    # It is read in the encoding that is detected.
    ("GBK", json.dumps({"context": CHINESE * 9}, ensure_ascii=False).encode("gb18030"), "has 0 choices"),
):
    CASES[f"choices: {name}"] = Case("choose", says, {"choices.jsonl": content})
_RACE = {"article": "w1", "questions": ["w2"], "options": [["w3", "w4"]], "answers": ["A"]}
for name, file, content, says in (
    ("a table of texts", "t.csv", "text,label\nw1,0\n", "line 2 has 'text', 'label'; expected context and question"),
    ("a ragged table", "t.csv", "context,ending0,ending1,label\nw1,w2,w3,0\nw1,w2,w3,0,1\n", "line 3"),
    ("a header alone", "t.csv", "context,ending0,ending1,label\n", "but no rows"),
    ("an unknown ending", "t.docx", "PK", "unknown kind of file"),
    ("a missing file", "no.csv", None, "No such file|there is no|no file"),
    ("RACE, no JSON", "r.txt", "{", "r.txt is not JSON"),
    ("RACE, a list", "r.txt", "[1]", "r.txt"),
    ("RACE, nested", "r.txt", DEEP, "nested too deeply"),
    ("RACE, fewer answers", "r.txt", json.dumps({**_RACE, "answers": []}), "1 question, 1 option and 0 answers"),
    ("RACE, questions of text", "r.txt", json.dumps({**_RACE, "questions": "w2"}), "r.txt: questions"),
    ("RACE, options of text", "r.txt", json.dumps({**_RACE, "options": ["w3"]}), "r.txt: options"),
    ("RACE, no article", "r.txt", json.dumps({**_RACE, "article": None}), "r.txt has no article"),
    ("RACE, a directory without articles", "r", "", "r is a directory without .txt files"),
):
    files = {} if content is None else {f"{file}/a.json" if file == "r" else file: content}
    CASES[f"choices: {name}"] = Case("choose", says, files, {"train_file": file})
CASES["choices: longer than the model"] = Case("choose", "--max_seq_length=512", flags={"max_seq_length": 512})

# --- Words and tags --------------------------------------------------------------------------------------------------

for name, content, says in (
    ("a tag that is none", "w1 O\nw2 thing\n", "line 2"),
    ("ragged", "w1 a O\nw2 O\n", "line 2|column"),
    ("one column", "w1\nw2\n", "train.conll|tag"),
    ("O alone", "w1 O\nw2 O\n", "tag|label"),
):
    CASES[f"words: {name}"] = Case("tag", says, {"train.conll": content})
CASES["words: no such column"] = Case("tag", "column", flags={"tag_column": 7})
CASES["words: a column of 20 digits"] = Case("tag", "column", flags={"token_column": 10**9})

# --- Records ---------------------------------------------------------------------------------------------------------


def _flipped(place: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


for name, change, says in (
    ("text", "no records\n" * 50, "train.tfrecord"),
    ("empty", "", "train.tfrecord|record"),
    ("cut", lambda content: content[: len(content) // 2 - 3], "train.tfrecord"),
    ("a damaged length", _flipped(0), "train.tfrecord"),
    ("damaged content", _flipped(40), "train.tfrecord"),
    ("gzip, cut", lambda content: gzip.compress(content)[:200], "train.tfrecord"),
):
    CASES[f"records: {name}"] = Case("pretrain", says, {"train.tfrecord": change})
CASES |= {
    "records: of another length": Case("pretrain", "max_seq_length", flags={"max_seq_length": 12}),
    "records: of other predictions": Case("pretrain", "max_predictions_per_seq", flags={"max_predictions_per_seq": 3}),
    "records: none": Case("pretrain", "no file matches", flags={"input_file": "none*.tfrecord"}),
    "records: a model with fewer pieces": Case(
        "pretrain", "vocab", {"bert_config.json": with_values(vocab_size=8)}, leaves=(*RUN_DIRECTORY, "out/.*")
    ),
    "texts: no word": Case("create", "no text", {"text.txt": "\n\n \n"}),
    "texts: two outputs in one": Case("create", "twice", flags={"output_file": "a,a"}),
    "texts: output is the input": Case("create", "is read by", flags={"output_file": "text.txt"}),
    "fill: no mask fits": Case("fill", "line 1", {"masked.txt": " ".join([*WORDS, "[MASK]", *WORDS]) + "\n"}),
}

# --- A full disk: files end at so many bytes -------------------------------------------------------------------------

for command, name in (("vocab", "out.txt"), ("features", "out.jsonl"), ("create", "out.tfrecord"), ("convert", "out")):
    CASES[f"{command}: a full disk"] = Case(command, name.replace(".", r"\."), file_bytes=64)
