"""Bad flags, configuration files and environments."""

import json

from e2e.fuzz.fuzzing import Case, Table

HUGE = 10**20
LONG = "9" * 5000

CASES = Table()

# --- Empty paths -----------------------------------------------------------------------------------------------------

for command, name in (
    *(("create", name) for name in ("input_file", "output_file", "vocab_file", "spm_model_file", "word_list")),
    *(("vocab", name) for name in ("input_file", "output_file", "extend")),
    *(("pretrain", name) for name in ("output_dir", "init_checkpoint")),
    *(("classify", name) for name in ("train_file", "vocab_file", "output_dir", "init_checkpoint", "labels_file")),
    *(("classify", name) for name in ("teacher", "unlabeled_file", "config")),
    ("classify_predict", "predict_file"),
    *(("squad", name) for name in ("train_file", "output_dir", "init_checkpoint")),
    ("squad_predict", "predict_file"),
    *(("choose", name) for name in ("train_file", "output_dir", "init_checkpoint")),
    ("choose_predict", "predict_file"),
    *(("tag", name) for name in ("train_file", "output_dir")),
    *(("features", name) for name in ("input_file", "output_file", "init_checkpoint")),
    *(("convert", name) for name in ("init_checkpoint", "output_dir", "grow_vocab")),
    *(("inspect", name) for name in ("init_checkpoint", "text", "output_dir", "nearest")),
    ("score", "text_file"),
    *(("export", name) for name in ("output_dir", "export_dir", "init_checkpoint")),
):
    CASES[f"{command} --{name}="] = Case(command, f"--{name} is empty", flags={name: ""})
CASES["create --output_file=' '"] = Case("create", "--output_file is empty", flags={"output_file": " "})

# --- Missing, unknown and invalid flags ------------------------------------------------------------------------------

for command in (
    *("create", "vocab", "pretrain", "classify", "squad", "tag", "choose", "features", "inspect", "convert", "export"),
):
    CASES[f"{command} --no_such_flag"] = Case(command, "no_such_flag.*--help", flags={"no_such_flag": 1})
for command, name in (("create", "output_file"), ("vocab", "input_file"), ("features", "init_checkpoint")):
    CASES[f"{command} without {name}"] = Case(command, f"--{name} is missing; --help", flags={name: None})
CASES |= {
    "a number that is text": Case("classify", "--max_seq_length=long", flags={"max_seq_length": "long"}),
    "a number of 300 digits": Case("classify", "--seed=a number of more", flags={"seed": LONG[:300]}),
    "a number of 5000 digits": Case("classify", "seed", flags={"seed": LONG}),
    "pretrain --input_file=": Case("pretrain", "--input_file is empty", flags={"input_file": ""}),
    "pretrain without a config": Case("pretrain", "--bert_config_file", flags={"bert_config_file": None}),
    "nothing to do": Case("classify", "Nothing to do", flags={"do_train": False}),
    "an unknown strategy": Case("classify", "distribution_strategy", flags={"distribution_strategy": "all"}),
    "two kinds of texts": Case("score", "exclude each other", flags={"text": "w1"}),
    "a second text alone": Case("inspect", "--text_b is the second", flags={"text": None, "text_b": "w1"}),
    "an output without texts": Case("inspect", "--output_dir needs --text", flags={"text": None}),
    "layers that are none": Case("features", "--layers=x", flags={"layers": "x"}),
    "a layer that is to be combined": Case("features", "--combine=sum is for several layers", flags={"combine": "sum"}),
    "words of pooled lines": Case("features", "--unit=word is for vec", flags={"unit": "word", "pooling": "mean"}),
    "a choice that there is not": Case("features", "--pooling=men; it must be one of none, ", flags={"pooling": "men"}),
    "a value of --noname": Case("classify", "--nodo_eval takes no value", flags={"nodo_eval": 1}),
    "a misspelt flag": Case("classify", "no flag --do_trian; did you mean --do_train", flags={"do_trian": True}),
    "a layer of 30 digits": Case("features", "there is no layer", flags={"layers": "9" * 30}),
    "profile of 20 digits": Case("classify", "--profile_steps", flags={"profile_steps": f"1,{HUGE}"}),
}

# --- Numbers out of range --------------------------------------------------------------------------------------------

for command, names in {
    "create": ("max_seq_length", "max_predictions_per_seq", "dupe_factor", "group_bytes", "num_workers"),
    "vocab": ("vocab_size", "num_unused", "limit_alphabet", "min_count"),
    "pretrain": ("max_seq_length", "max_predictions_per_seq", "num_train_steps", "train_batch_size", "seed"),
    "classify": ("max_seq_length", "train_batch_size", "seed", "save_checkpoints_steps", "iterations_per_loop"),
    "squad": ("max_seq_length", "doc_stride", "max_query_length", "n_best_size", "max_answer_length"),
    "choose": ("max_seq_length", "train_batch_size", "seed"),
    "tag": ("max_seq_length", "keep_checkpoints", "gradient_accumulation_steps"),
    "features": ("max_seq_length", "batch_size"),
    "inspect": ("top_k",),
    "score": ("batch_size",),
    "export": ("max_seq_length", "version"),
}.items():
    for name in names:
        CASES[f"{command} --{name} of 20 digits"] = Case(command, f"--{name}=\\d+;? ", flags={name: HUGE})
for command, name, value in (
    ("create", "max_seq_length", 1 << 31),
    ("pretrain", "max_seq_length", 1 << 31),
    ("classify", "max_seq_length", 1 << 31),
    ("features", "max_seq_length", 1 << 31),
    ("vocab", "num_unused", 1 << 31),
    ("classify", "seed", 1 << 32),
    ("pretrain", "seed", 1 << 32),
    ("classify", "seed", -1),
    ("classify", "max_seq_length", 2),
    ("choose", "max_seq_length", 4),
    ("classify", "train_batch_size", 0),
    ("squad", "doc_stride", 0),
    ("create", "dupe_factor", 0),
):
    CASES[f"{command} --{name}={value}"] = Case(command, f"--{name}={value}", flags={name: value})
CASES["seeds, one of 2^32"] = Case("classify", "--seeds=1,4294967296", flags={"seeds": "1,4294967296"})
CASES |= {
    f"--search={text}": Case("classify", says, flags={"search": text, "do_eval": True, "dev_file": "train.csv"})
    for text, says in (
        ("learnig_rate=1", "did you mean learning_rate"),
        ("learning_rate", "has no ="),
        ("learning_rate=1e-5,-1", "--search, learning_rate=-1: --learning_rate=-1.0"),
        ("learning_rate=1e-5..1e-4", "--search_trials"),
        ("train_batch_size=1..x", "whole number"),
        (f"seed=1,{HUGE}", "--seed=1"),
        (f"seed={','.join(map(str, range(1100)))}", "1,100 runs"),
        ("output_dir=a,b", "must be the same for all runs"),
    )
}
CASES |= {
    "search without evaluation": Case("classify", "--search needs", flags={"search": "paper"}),
    "reports to nobody": Case("tag", "Unknown --report_to 'x'", flags={"report_to": "tensorboard,x"}),
    "pretrain --report_to=": Case("pretrain", "Unknown --report_to ''", flags={"report_to": ""}),
}
for command in ("classify_predict", "squad_predict", "tag_predict", "choose_predict", "export", "convert_classifier"):
    CASES[f"{command} --use_best without best/"] = Case(
        command, "has no best/ with a checkpoint", flags={"use_best": True}
    )
CASES["seeds that are words"] = Case("classify", "--seeds=a,b", flags={"seeds": "a,b"})

# --- Files of flags --------------------------------------------------------------------------------------------------

for name, content, says in (
    ("c.json", "{", "c.json is not JSON .*column 2"),
    ("c.json", "[1]", "does not map flags"),
    ("c.json", "[" * 100_000, "nested too deeply"),
    ("c.json", f'{{"seed": {LONG}}}', "digits"),
    ("c.json", '{"learning_rate": NaN}', "NaN is not a JSON number"),
    ("c.json", '{"seed": {"a": 1}}', "does not map flags"),
    ("c.json", '{"seed": [[1]]}', "does not map flags"),
    ("c.json", '{"sed": 1}', "did you mean --seed"),
    ("c.json", '{"train_file": ""}', "--train_file is empty"),
    ("c.json", '{"train_file": "a\\u0000b"}', "does not map flags"),
    ("c.json", b"\xff\xfe\x00", "UTF-16"),
    ("c.json", "", "it is empty"),
    ("c.yaml", "a: [", "c.yaml is not YAML"),
    ("c.yaml", "1: 2", "does not map flags"),
    ("c.yaml", "? [a]\n: 1", "c.yaml"),
    ("c.yaml", "- a", "does not map flags"),
    ("c.yaml", "seed: 2024-13-45", "c.yaml is not YAML: month"),
    ("c.yaml", "a: &a [x]\nb: &b [*a,*a]\nseed: [*b,*b]", "does not map flags"),
    ("c.yaml", "[" * 5000, "c.yaml is not YAML"),
    ("c.yaml", b"seed: \xe9", "is not UTF-8"),
):
    flags = {"config": name, "train_file": None}
    CASES[f"--config={name} {content[:32]!r}"] = Case("classify", says, {name: content}, flags)
CASES["--config without a file"] = Case("classify", "none.json", flags={"config": "none.json"})

# --- TPUs ------------------------------------------------------------------------------------------------------------

for name in (None, "grpc://localhost:1", "grpc://localhost:99999"):
    CASES[f"TPU {name}"] = Case("classify", "--use_tpu: no", flags={"use_tpu": True, "tpu_name": name})

# --- TF_CONFIG -------------------------------------------------------------------------------------------------------


def _cluster(workers: object, task: object) -> str:
    return json.dumps({"cluster": {"worker": workers}, "task": task})


_FIRST = {"type": "worker", "index": 0}
for name, text, says in (
    ("missing", "", "TF_CONFIG is not set"),
    ("no JSON", "{", "TF_CONFIG is not JSON"),
    ("nested", "[" * 100_000, "nested too deeply"),
    ("a list", "[]", "does not name the workers"),
    ("lists", '{"cluster": [], "task": []}', "does not name the workers"),
    ("a cluster of text", '{"cluster": {"worker": "ab"}, "task": {"type": "worker", "index": 0}}', "does not name"),
    ("an address without a port", _cluster(["localhost"], _FIRST), "port from 1 to 65535"),
    ("port 99999", _cluster(["localhost:99999", "localhost:2"], _FIRST), "port from 1 to 65535"),
    ("port 0", _cluster(["localhost:0"], _FIRST), "port from 1 to 65535"),
    ("addresses of numbers", _cluster([1, 2], _FIRST), "port from 1 to 65535"),
    ("one address twice", _cluster(["localhost:9", "localhost:9"], _FIRST), "names an address twice"),
    ("an index beyond", _cluster(["localhost:9"], {"type": "worker", "index": 1}), "does not name the workers"),
    ("an index below", _cluster(["localhost:9"], {"type": "worker", "index": -1}), "does not name the workers"),
    ("an index of infinity", _cluster(["localhost:9"], {"type": "worker", "index": 1e400}), "TF_CONFIG"),
    ("a type that is a list", _cluster(["localhost:9"], {"type": ["worker"], "index": 0}), "does not name"),
):
    CASES[f"TF_CONFIG: {name}"] = Case(
        "classify", says, flags={"distribution_strategy": "multi_worker_mirrored"}, environment={"TF_CONFIG": text}
    )
