"""inspect_model.py as a user calls it."""

import json

from helpers.tiny_huggingface import write_directory


def test_texts_on_standard_input(tmp_path, scripts):
    """Only results on standard output; attention beside them."""
    model = write_directory(tmp_path / "model", "BertForPreTraining")
    (tmp_path / "lines").write_text("a <b> a\nco [MASK]\n")
    flags = [f"--init_checkpoint={model}", "--text_file=-", "--json", f"--output_dir={tmp_path / 'out'}"]
    done = scripts.run("inspect_model.py", flags, stdin=tmp_path / "lines")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["line"] for row in rows] == [1, 2]
    assert len(rows[1]["masks"][0]["candidates"]) == 10
    page = (tmp_path / "out/attention.html").read_text()
    assert "Content-Security-Policy" in page
    assert f"Wrote {tmp_path}/out/attention.html and {tmp_path}/out/attention.npz: attention." in done.stderr
