"""`--init_checkpoint` with the name of a public model, from servers that environment variables name."""

import io
import zipfile

import pytest
from helpers.model_server import ModelServer, serving
from helpers.repository import GOLDEN
from helpers.tiny_huggingface import write_directory


@pytest.fixture
def server():
    with serving(ModelServer()) as running:
        yield running


def test_a_model_of_the_hub(scripts, server, tmp_path):
    directory = write_directory(tmp_path / "tiny", "BertForMaskedLM")
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    server.repositories["google-bert/bert-base-uncased"] = files
    environment = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    flags = ["--init_checkpoint=bert-base-uncased", f"--output_dir={tmp_path}/google"]
    done = scripts.run("convert_checkpoint.py", flags, environment=environment, directory=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Downloading model.safetensors, config.json, vocab.txt, tokenizer_config.json of google-bert/" in done.stderr
    assert "HTTP" not in done.stderr
    assert (tmp_path / "google/bert_model.ckpt.index").is_file()

    environment = {**environment, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    flags = ["--init_checkpoint=bert-base-uncased@v3", f"--output_dir={tmp_path}/other"]
    done = scripts.run("convert_checkpoint.py", flags, environment=environment, directory=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        "ERROR: google-bert/bert-base-uncased@v3 is not on this machine (--init_checkpoint also takes the directory of "
        "a model), and it cannot be downloaded from http://127.0.0.1:9: HF_HUB_OFFLINE is set, and the model is not in "
        "the cache as a whole.\n"
    )


def test_an_archive_of_google(scripts, server, tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for path in (GOLDEN / "tiny").iterdir():
            packed.write(path, path.name)
    server.storage["2020_02_20/uncased_L-2_H-128_A-2.zip"] = content.getvalue()
    (tmp_path / "lines.txt").write_text("A sentence.\n")
    flags = ["--input_file=lines.txt", "--output_file=features.jsonl", "--init_checkpoint=uncased_L-2_H-128_A-2"]
    flags += ["--layers=-1"]
    environment = {"BERT_TF2_GOOGLE_MODELS": server.url, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = scripts.run("extract_features.py", flags, environment=environment, directory=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"Downloading {server.url}/2020_02_20/uncased_L-2_H-128_A-2.zip to {tmp_path}/cache/bert-tf2/" in done.stderr
    assert (tmp_path / "features.jsonl").read_text().count("\n") == 1
