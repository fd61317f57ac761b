"""Bad models: configs, checkpoints, task.json, Hugging Face directories."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any

from e2e.fuzz.fuzzing import RUN_DIRECTORY, Case, Change, Table, with_values

DEEP = "[" * 100_000
LONG = "9" * 5000
CONFIG = "bert_config.json"

CASES = Table()

# --- Configs ---------------------------------------------------------------------------------------------------------

_BAD_JSON: tuple[tuple[str, Change, str], ...] = (
    ("no JSON", "{", "is not JSON"),
    ("a list", "[]", "holds a list"),
    ("text", '"a"', "holds a string"),
    ("null", "null", "holds null"),
    ("empty", "", "it is empty"),
    ("nested", DEEP, "nested too deeply"),
    ("nested inside", '{"a": ' + DEEP, "nested too deeply"),
    ("a long number", f'{{"vocab_size": {LONG}}}', "digits"),
    ("NaN", '{"vocab_size": NaN}', "NaN is not a JSON number"),
    ("infinity", '{"vocab_size": -Infinity}', "-Infinity is not a JSON number"),
    ("beyond float64", '{"vocab_size": 1e999}', "out of range"),
    ("Latin-1", b'{"a": "\xe9"}', "is not UTF-8"),
)
for name, change, says in _BAD_JSON:
    CASES[f"config: {name}"] = Case("classify", f"{CONFIG} .*{says}", {CONFIG: change})
for key, value in (
    *(("vocab_size", value) for value in (0, -1, 1.5, "40", True, None, [1], 10**30)),
    *(("hidden_size", value) for value in (0, 15, 10**12, "x")),
    *(("num_hidden_layers", value) for value in (0, 5000, 10**18)),
    ("num_attention_heads", 3),
    ("intermediate_size", 10**12),
    ("max_position_embeddings", 10**15),
    ("type_vocab_size", 10**15),
    *(("hidden_act", value) for value in ("swish", 1, ["gelu"], {})),
    *(("hidden_dropout_prob", value) for value in (1, -0.1, "a", 10**400)),
    *(("initializer_range", value) for value in (0, "a", None)),
    ("pooler_type", "mean"),
):
    CASES[f"config: {key} {value!r:.20}"] = Case("classify", key, {CONFIG: with_values(**{key: value})})
CASES |= {
    "config: wider than memory": Case(
        "classify",
        "GB of memory",
        {CONFIG: with_values(hidden_size=1 << 16, intermediate_size=1 << 20, num_hidden_layers=1000)},
    ),
    "config: none": Case("classify", "No such file", flags={"bert_config_file": "none.json"}),
}

# --- Configs that are not the checkpoint's ---------------------------------------------------------------------------

_START = {"init_checkpoint": "pretrained"}
for command, flags in (
    ("classify", _START),
    ("squad", _START),
    ("tag", _START),
    ("pretrain", _START),
    ("features", {"bert_config_file": CONFIG}),
    ("fill", {}),
    ("convert", {"bert_config_file": CONFIG}),
    ("export", {"bert_config_file": CONFIG}),
):
    for key, value in (("num_hidden_layers", 900), ("intermediate_size", 1 << 20), ("max_position_embeddings", 32)):
        CASES[f"{command}: {key} is not the checkpoint's"] = Case(
            command,
            "do not belong together|does not match the BERT config|do not match|lacks",
            {CONFIG: with_values(**{key: value})},
            flags,
        )
CASES["classify: more pieces than the checkpoint's"] = Case(
    "classify", "--grow_vocab", {CONFIG: with_values(vocab_size=50)}, _START
)

# --- Checkpoints -----------------------------------------------------------------------------------------------------

_DATA = "pretrained/model.ckpt-1.data-00000-of-00001"
_INDEX = "pretrained/model.ckpt-1.index"


def _truncated(content: bytes) -> bytes:
    return content[: len(content) // 20]


def _noise(content: bytes) -> bytes:
    return content[:100] + bytes(255 - byte for byte in content[100:])


for command, flags in (
    ("convert", {}),
    ("classify", _START),
    ("features", {**_START, "vocab_file": "vocab.txt"}),
    ("fill", {}),
):
    for name, files in {
        "data cut": {_DATA: _truncated},
        "data empty": {_DATA: ""},
        "data damaged": {_DATA: _noise},
        "no data": {_DATA: None},
        "index cut": {_INDEX: _truncated},
        "index empty": {_INDEX: ""},
        "index of text": {_INDEX: "no index\n" * 9},
        "a list that is none": {"pretrained/checkpoint": "x"},
        "a list of what is not there": {"pretrained/checkpoint": 'model_checkpoint_path: "model.ckpt-9"'},
    }.items():
        # Weights are read when they are needed, by a training after it has taken its directory.
        leaves = RUN_DIRECTORY if command == "classify" and name.startswith("data") else ()
        CASES[f"{command}: checkpoint, {name}"] = Case(command, "pretrained", files, flags, leaves=leaves)
for command in ("classify", "squad", "tag", "pretrain", "features", "convert", "export"):
    flag = "output_dir" if command == "export" else "init_checkpoint"
    flags = {flag: "bert-base-uncased", "vocab_file": None, "bert_config_file": None}
    if command in ("pretrain",):
        del flags["vocab_file"], flags["bert_config_file"]
    CASES[f"{command}: a model's name"] = Case(command, "bert-base-uncased", flags=flags)
CASES |= {
    "classify: no model to predict with": Case("classify_predict", "has no checkpoint", flags={"output_dir": "none"}),
    "classify: a model without a head": Case(
        "classify_predict", "task|label|model", flags={"output_dir": "pretrained"}
    ),
    "classify: a teacher without a head": Case(
        "classify", "--teacher: pretrained has no", flags={"teacher": "pretrained"}
    ),
    "classify: a teacher of other labels": Case(
        "classify",
        "--teacher: classifier knows the labels bad, good, but those of the training data are bad, fine",
        {"train.csv": lambda content: content.replace(b"good", b"fine")},
        {"teacher": "classifier"},
    ),
    "classify: a teacher that is cut": Case(
        "classify",
        r"--teacher: .*classifier/model\.ckpt",
        {"classifier/model.ckpt-2.data-00000-of-00001": _truncated},
        {"teacher": "classifier"},
        leaves=RUN_DIRECTORY,
    ),
    "squad: a classifier": Case("squad_predict", "classif|single_label", flags={"output_dir": "classifier"}),
    "tag: a classifier": Case("tag_predict", "classif|single_label", flags={"output_dir": "classifier"}),
    "choose: a classifier": Case(
        "choose_predict", "single_label, not for multiple", flags={"output_dir": "classifier"}
    ),
    "classify: multiple choice": Case("classify_predict", "multiple_choice", flags={"output_dir": "chooser"}),
    "choose: a model without a head": Case("choose_predict", "task|model", flags={"output_dir": "pretrained"}),
    "choose: a Hugging Face classifier": Case(
        "choose_predict",
        "is not a model of this task: it lacks output_weights",
        flags={"output_dir": "none", "init_checkpoint": "hf", "max_seq_length": 16},
    ),
    "classify: a checkpoint that is not there": Case(
        "classify",
        r"There is no pretrained/none: pretrained has no directory and no checkpoint of that name, but .*ckpt-1",
        flags={**_START, "init_checkpoint": "pretrained/none", "vocab_file": None, "bert_config_file": None},
    ),
    "classify: a tagger": Case("classify_predict", "tagging", flags={"output_dir": "tagger"}),
}

# --- task.json and labels.txt ----------------------------------------------------------------------------------------

_TASK = "classifier/task.json"
for command in ("classify_predict", "features", "convert_classifier", "export"):
    for name, change, says in _BAD_JSON[:8]:
        CASES[f"{command}: task.json, {name}"] = Case(command, f"task.json .*{says}", {_TASK: change})
for key, value in (
    *(("max_seq_length", value) for value in ("16", None, 1e400, True, 0, 10**30)),
    *(("labels", value) for value in (None, "good", [1, 2], ["bad"], ["good", "bad"], ["bad", "\ud800"])),
    *(("problem_type", value) for value in (None, 1, [], "poetry")),
    ("threshold", "0.5"),
    ("do_lower_case", "true"),
    ("no_such_key", 1),
    ("header", ...),
):
    # Infinity is not JSON, so that the whole file is refused.
    CASES[f"task.json: {key} {value!r:.20}"] = Case(
        "classify_predict", "task.json|max_seq_length|labels", {_TASK: with_values(**{key: value})}
    )
for key, value in (("problem_type", []), ("problem_type", {"a": 1}), ("do_lower_case", "yes")):
    for command in ("convert_classifier", "features", "export"):
        if command == "features" and key == "problem_type":
            continue  # not read there
        CASES[f"{command}: task.json, {key} {value!r}"] = Case(command, key, {_TASK: with_values(**{key: value})})
for name, content in (
    ("twice", "bad\nbad\n"),
    ("blank", "bad\n\ngood\n"),
    ("empty", ""),
    ("Latin-1", b"b\xe4d\ngood\n"),
):
    for command in ("classify_predict", "convert_classifier", "export"):
        CASES[f"{command}: labels.txt, {name}"] = Case(command, "labels.txt", {"classifier/labels.txt": content})
for name, content in (
    ("no JSON", "{"),
    ("nested", DEEP),
    ("a list", "[]"),
    ("of text", '{"null_score_diff_threshold": "a", "weights": "b"}'),
):
    CASES[f"threshold: {name}"] = Case(
        "squad_predict", "null_score_diff_threshold.json", {"answerer/null_score_diff_threshold.json": content}
    )

# --- Hugging Face directories ----------------------------------------------------------------------------------------

for name, change, says in _BAD_JSON:
    if name != "a long number":
        CASES[f"hf: config.json, {name}"] = Case("convert_back", f"config.json .*{says}", {"hf/config.json": change})
    if name in ("no JSON", "nested", "a list", "null"):
        for file in ("tokenizer_config.json", "tokenizer.json"):
            CASES[f"hf: {file}, {name}"] = Case("convert_back", f"{file} .*{says}", {f"hf/{file}": change})
for key, value in (
    *(("architectures", value) for value in ("BertModel", 1, [1], {"a": 1}, [["BertModel"]])),
    *(("model_type", value) for value in ("gpt2", 1, ["bert"])),
    *(("id2label", value) for value in ("a", [1, 2], {"a": "b"}, {"0": "a", "2": "b"}, {"0": "\ud800", "1": "b"})),
    *(("problem_type", value) for value in (1, ["a"], {})),
    *(("hidden_act", value) for value in (1, ["gelu"], "swish")),
    *(("vocab_size", value) for value in ("a", 10**30, 0)),
    *(("layer_norm_eps", value) for value in (1e-5, [1])),
    ("position_embedding_type", "relative_key"),
    ("quantization_config", {"bits": 4}),
    ("num_hidden_layers", 5000),
):
    CASES[f"hf: {key} {value!r:.24}"] = Case(
        "convert_back", f"{key}|model_type", {"hf/config.json": with_values(**{key: value})}
    )
CASES["hf: do_lower_case 'yes'"] = Case(
    "convert_back", "do_lower_case", {"hf/tokenizer_config.json": with_values(do_lower_case="yes")}
)


def _tokenizer(model: Any = ..., **values: Any) -> str:
    good = {"type": "WordPiece", "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}}
    return json.dumps({"model": good if model is ... else model, **values})


for name, content, says in (
    ("a model that is a list", _tokenizer([]), "model"),
    ("a vocabulary that is a list", _tokenizer({"type": "WordPiece", "vocab": ["a"]}), "no WordPiece vocabulary"),
    ("another kind", _tokenizer({"type": "BPE", "vocab": {}}), "no WordPiece vocabulary"),
    ("ids of text", _tokenizer({"type": "WordPiece", "vocab": {"a": "0", "b": 1}}), "whole numbers as ids"),
    ("ids that are lists", _tokenizer({"type": "WordPiece", "vocab": {"a": [0]}}), "whole numbers as ids"),
    ("a gap", _tokenizer({"type": "WordPiece", "vocab": {"a": 0, "b": 2}}), "are not 0, 1, 2"),
    ("half a character", _tokenizer({"type": "WordPiece", "vocab": {"\ud800": 0}}), "whole numbers as ids"),
    ("added tokens of text", _tokenizer(added_tokens="abc"), "added_tokens"),
    ("added tokens that are numbers", _tokenizer(added_tokens=[1]), "whole numbers as ids"),
    ("added tokens without an id", _tokenizer(added_tokens=[{"content": "x"}]), "whole numbers as ids"),
    ("a normalizer that is a list", _tokenizer(normalizer=[]), "normalizer"),
    ("case of text", _tokenizer(normalizer={"type": "BertNormalizer", "lowercase": "no"}), "do_lower_case"),
):
    CASES[f"hf: tokenizer.json, {name}"] = Case(
        "convert_back",
        says,
        {"hf/tokenizer.json": content, "hf/vocab.txt": None, "hf/tokenizer_config.json": None},
    )


def _header(change: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], bytes]:
    """Safetensors with another header."""

    def changed(content: bytes) -> bytes:
        length = int.from_bytes(content[:8], "little")
        values = change(json.loads(content[8 : 8 + length]))
        text = (values if isinstance(values, str) else json.dumps(values)).encode("utf-8")
        return len(text).to_bytes(8, "little") + text + content[8 + length :]

    return changed


_BIAS = "classifier.bias"


def _bias(**changes: Any) -> Callable[[bytes], bytes]:
    return _header(lambda header: {**header, _BIAS: {**header[_BIAS], **changes}})


for name, change in {
    "text": "no tensors",
    "empty": "",
    "short": lambda content: content[:4],
    "cut in the header": lambda content: content[:200],
    "cut in the arrays": lambda content: content[:-40],
    "a header of 2^63": lambda content: (1 << 63).to_bytes(8, "little") + content[8:],
    "a header that is a list": _header(lambda _: []),
    "a header that is nested": _header(lambda _: DEEP),
    "a header of numbers": _header(lambda header: {**header, _BIAS: 1}),
    "a shape of infinity": _bias(shape=[float("inf")]),
    "a shape of text": _bias(shape="3"),
    "a shape below 0": _bias(shape=[-2]),
    "a shape of 10^30": _bias(shape=[10**30]),
    "offsets of infinity": _bias(data_offsets=[0, float("inf")]),
    "offsets of text": _bias(data_offsets="01"),
    "offsets backwards": _bias(data_offsets=[8, 0]),
    "offsets below 0": _bias(data_offsets=[-8, 0]),
    "offsets of true": _bias(shape=[], data_offsets=[False, True]),
    "offsets beyond": _bias(data_offsets=[10**15, 10**15 + 8]),
    "three offsets": _bias(data_offsets=[0, 4, 8]),
    "arrays that overlap": _bias(data_offsets=[4, 12]),
    "a type of another width": _bias(dtype="F16"),
    "Git LFS": "version https://git-lfs.github.com/spec/v1\n",
}.items():
    CASES[f"hf: safetensors, {name}"] = Case("convert_back", r"model\.safetensors", {"hf/model.safetensors": change})
_LIST = "hf/model.safetensors.index.json"
for name, content in {
    "no JSON": "{",
    "nested": DEEP,
    "a list": "[]",
    "no map": "{}",
    "a map that is a list": '{"weight_map": [["a", "b"]]}',
    "a map of numbers": '{"weight_map": {"a": 1}}',
    "a map of lists": '{"weight_map": {"a": ["b"]}}',
    "a file that is not there": '{"weight_map": {"a": "b.safetensors"}}',
    "an empty name": '{"weight_map": {"a": ""}}',
    "a directory": '{"weight_map": {"a": "."}}',
    "a NUL": '{"weight_map": {"a": "a\\u0000b"}}',
}.items():
    CASES[f"hf: index, {name}"] = Case("convert_back", "index.json", {_LIST: content, "hf/model.safetensors": None})


class _Tensor:
    """Is pickled as a tensor of PyTorch."""

    def __init__(self, elements: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.elements, self.shape, self.strides = elements, shape, strides


class _Pickler(pickle._Pickler):
    """Pickles as PyTorch does, without PyTorch."""

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, _Tensor):
            self.write(b"ctorch._utils\n_rebuild_tensor_v2\n")
            self.save((_Storage(value.elements), 0, value.shape, value.strides, False, None))
            self.write(b"R")
        elif isinstance(value, _Storage):
            self.write(b"(")
            self.save("storage")
            self.write(b"ctorch\nFloatStorage\n")
            for part in ("0", "cpu", value.elements):
                self.save(part)
            self.write(b"tQ")
        else:
            super().save(value, save_persistent_id)


class _Storage:
    def __init__(self, elements: Any) -> None:
        self.elements = elements


def _pickled(value: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, 2).dump(value)
    return file.getvalue()


def _zip(value: Any, data: bytes = b"\0" * 8) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        if value is not None:
            archive.writestr("archive/data.pkl", value if isinstance(value, bytes) else _pickled(value))
        archive.writestr("archive/data/0", data)
    return file.getvalue()


def _legacy(value: Any, data: bytes = struct.pack("<q", 2) + b"\0" * 8) -> bytes:
    magic = 0x1950A86A20F9469CFC6C
    parts = (magic, 1001, {"little_endian": True}, value, ["0"])
    return b"".join(map(_pickled, parts)) + data


for name, content in {
    "text": "no weights",
    "empty": "",
    "a zip without a pickle": _zip(None),
    "a zip with an empty pickle": _zip(b""),
    "a zip, cut": _zip({_BIAS: _Tensor(2, (2,), (1,))})[:-30],
    "a list": _zip([1]),
    "a number": _legacy(1),
    "a storage of 10^18": _zip({_BIAS: _Tensor(10**18, (2,), (1,))}),
    "a storage of 10^30": _zip({_BIAS: _Tensor(10**30, (10**30,), (1,))}),
    "a storage of text": _zip({_BIAS: _Tensor("a", (2,), (1,))}),
    "an old storage of 10^18": _legacy({_BIAS: _Tensor(10**18, (2,), (1,))}, struct.pack("<q", 10**18)),
    "an old storage of 10^12": _legacy({_BIAS: _Tensor(10**12, (10**12,), (1,))}, struct.pack("<q", 10**12)),
    "an old storage below 0": _legacy({_BIAS: _Tensor(-5, (0,), (1,))}, struct.pack("<q", -5)),
    "a shape of 10^12 by no strides": _zip({_BIAS: _Tensor(2, (10**12,), (0,))}),
    "a shape of text": _zip({_BIAS: _Tensor(2, ("a",), (1,))}),
    "code": b"cos\nsystem\n(S'true'\ntR.",
    "bytes of 2^62": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62),
    "nested": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
}.items():
    CASES[f"hf: pickle, {name}"] = Case(
        "convert_back", r"pytorch_model\.bin", {"hf/pytorch_model.bin": content, "hf/model.safetensors": None}
    )

# --- Where to write --------------------------------------------------------------------------------------------------

CASES |= {
    "inspect: below a file": Case("inspect", "text.txt", flags={"output_dir": "text.txt/x"}),
    "inspect: no model": Case("inspect", r"There is no \./none", flags={"init_checkpoint": "./none"}),
    "inspect: no checkpoint": Case("inspect", "directory d has no", {"d/a": ""}, {"init_checkpoint": "d"}),
    "inspect: a cut checkpoint": Case("inspect", "pretrained", {_INDEX: _truncated}),
    "inspect: no vocabulary": Case(
        "inspect", "no vocab.txt; give --vocab_file", {"pretrained/vocab.txt": None}, {"vocab_file": None}
    ),
    "inspect: too long": Case("inspect", "--text has .* only 24 positions", flags={"text": "w1 " * 23}),
    "inspect: a word without pieces": Case("inspect", "the vocabulary has no piece", flags={"nearest": "zebra"}),
    "score: too long": Case("score", "line 2 has .* only 24 positions", {"text.txt": "w1\n" + "w1 " * 23}),
    "score: a mask": Case("score", r"line 1 has a \[MASK\]", {"text.txt": "w1 [MASK]\n"}),
    "score: no masked-LM head": Case("score", "no masked-LM head", flags={"init_checkpoint": "classifier"}),
    "convert: the output is there": Case("convert", "not an empty", flags={"output_dir": "tagger"}),
    "convert: the output is a file": Case("convert", "not an empty", flags={"output_dir": "text.txt"}),
    "convert: below a file": Case("convert", "text.txt", flags={"output_dir": "text.txt/x"}),
    "export: below a file": Case("export", "text.txt", flags={"export_dir": "text.txt/x"}),
    "classify: below a file": Case("classify", "text.txt", flags={"output_dir": "text.txt/x"}),
    "classify: the output is a file": Case("classify", "text.txt", flags={"output_dir": "text.txt"}),
    "features: below a file": Case("features", "text.txt", flags={"output_file": "text.txt/x"}),
    "vocab: below a file": Case("vocab", "text.txt", flags={"output_file": "text.txt/x"}),
    "create: below a file": Case("create", "text.txt", flags={"output_file": "text.txt/x"}),
    "convert: grow with what is not there": Case("convert", "none.txt", flags={"grow_vocab": "none.txt"}),
    "convert: grow with fewer pieces": Case(
        "convert", "v.txt", {"v.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"}, {"grow_vocab": "v.txt"}
    ),
    "export: two models": Case("export", "either --output_dir", flags={"init_checkpoint": "hf"}),
}
