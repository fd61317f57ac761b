"""safetensors: bytes, types, damage, models in parts."""

import json
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from helpers.repository import REPOSITORY
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import save_file

from bert_tf2.checkpoints.safetensors import open_parts, open_safetensors, write_safetensors
from bert_tf2.errors import InputError


def safetensors(header, content=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


def test_the_bytes_are_those_of_the_format(tmp_path):
    write_safetensors(tmp_path / "x.safetensors", {"b": np.float32([[1, 2]]).T, "a": np.float32(3)})
    content = (tmp_path / "x.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    assert json.loads(content[8 : 8 + length]) == {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        "b": {"dtype": "F32", "shape": [2, 1], "data_offsets": [4, 12]},
    }
    assert content[8 + length :] == np.float32([3, 1, 2]).tobytes()


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        arrays_of.arrays(np.float32, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
        max_size=4,
    )
)
def test_round_trip_is_bitwise(tmp_path_factory, arrays):
    arrays.pop("__metadata__", None)
    path = tmp_path_factory.mktemp("round") / "x.safetensors"
    write_safetensors(path, arrays)
    back = open_safetensors(path)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].shape == array.shape
        assert back[name].read().tobytes() == array.tobytes()  # NaN and -0 included


def test_half_precision_becomes_float32_exactly(tmp_path):
    numbers = np.float32([0.1, -1e-5, 3.0, 65504, np.inf]).astype(np.float16)
    brain = np.float32([0.1, -1e-30, 3.0, 1e38, np.inf]).astype(ml_dtypes.bfloat16)
    header = {
        "half": {"dtype": "F16", "shape": [5], "data_offsets": [0, 10]},
        "brain": {"dtype": "BF16", "shape": [5, 1], "data_offsets": [10, 20]},
        "ids": {"dtype": "I64", "shape": [1], "data_offsets": [20, 28]},
        "tiny": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [28, 31]},
    }
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(header, numbers.tobytes() + brain.tobytes() + b"\0" * 11))
    arrays = open_safetensors(path)
    assert arrays["half"].read().dtype == arrays["brain"].read().dtype == np.float32
    np.testing.assert_array_equal(arrays["half"].read(), numbers.astype(np.float32))
    np.testing.assert_array_equal(arrays["brain"].read()[:, 0], brain.astype(np.float32))
    for name, what in (("ids", "I64"), ("tiny", "F8_E4M3")):
        with pytest.raises(InputError, match=rf"{name} \({what}\) in .*x.safetensors does not hold 32-bit"):
            arrays[name].read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x05",
        (2**62).to_bytes(8, "little") + b"{}",
        b"\x04\0\0\0\0\0\0\0[1]",
        safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 8),
        safetensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}, b"\0" * 8),
        safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, b"\0" * 8),
        safetensors({"a": {"shape": [1], "data_offsets": [0, 4]}}, b"\0" * 8),
        safetensors({"a": 7}),
        safetensors({"a": {"dtype": "NEW", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({"a": {"dtype": "F32", "shape": [float("inf")], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({"a": {"dtype": "F32", "shape": [2**63, 2], "data_offsets": [0, 4]}}, b"\0" * 4),
        safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"\0" * 8),
        safetensors({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"}, b"\0" * 4),
        (300_000).to_bytes(8, "little") + b'{"a":' + b"[" * 299_995,
    ],
)
def test_what_is_no_safetensors_file(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    message = r"x\.safetensors is not a safetensors file, or is corrupt or truncated \([\d,]+ bytes?; .*\); download"
    with pytest.raises(InputError, match=message):
        open_safetensors(path)


def test_sentences_for_common_damage(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": np.zeros([10], np.float32)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"truncated \(135 bytes; incomplete metadata, file not fully covered\)"):
        open_safetensors(path)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12\n")
    with pytest.raises(InputError, match="Git LFS pointer, not the weights; fetch them with git lfs pull"):
        open_safetensors(path)
    with pytest.raises(InputError, match=r"none: No such file"):
        open_safetensors(tmp_path / "none")


def test_parts(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    write_safetensors(tmp_path / "1.safetensors", {"a": np.float32([1]), "not listed": np.float32([0])})
    write_safetensors(tmp_path / "2.safetensors", {"b": np.float32([2])})
    index.write_text('{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}')
    arrays = open_parts(index, open_safetensors)
    assert {name: array.read()[0] for name, array in arrays.items()} == {"a": 1, "b": 2}
    for text, message in (
        ('{"weight_map": {"a": "3.safetensors"}}', "names 3.safetensors, which is not in the same directory"),
        (
            '{"weight_map": {"a": "../1.safetensors"}}',
            r"names '\.\./1\.safetensors', which is not a file in the same directory",
        ),
        ('{"weight_map": {"a": "/dev/zero"}}', "names '/dev/zero', which is not a file in the same directory"),
        ('{"weight_map": {"a": ".."}}', r"names \.\., which is not in the same directory"),
        ('{"weight_map": {"c": "1.safetensors"}}', "says that c is in 1.safetensors, but it is not"),
        ("{}", 'has no "weight_map"'),
        ('{"weight_map": {"a": 1}}', 'has no "weight_map" of names to files'),
        ('{"weight_map": []}', r"weight_map is a list \(\[\]\); it must be an object"),
        ("[", "is not JSON"),
    ):
        index.write_text(text)
        with pytest.raises(InputError, match=message):
            open_parts(index, open_safetensors)


def test_what_the_package_writes_is_the_same(tmp_path):
    arrays = {f"layer.{index}": np.random.default_rng(index).normal(size=[3, index]) for index in range(5)}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    write_safetensors(tmp_path / "ours", arrays)
    save_file(arrays, tmp_path / "theirs", {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_bfloat16_needs_neither_pytorch_nor_tensorflow(tmp_path):
    header = {"brain": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}
    (tmp_path / "x").write_bytes(safetensors(header, b"\x80\x3f"))
    program = (
        "import sys; from bert_tf2.checkpoints.safetensors import open_safetensors\n"
        f"print(open_safetensors({str(tmp_path / 'x')!r})['brain'].read(), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout == "[1.] False\n", done.stderr
