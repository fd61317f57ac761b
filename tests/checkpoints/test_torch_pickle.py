"""PyTorch's files: real ones of PyTorch 2.15 in both layouts, and malicious or corrupt ones."""

import base64
import importlib.util
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest

from bert_tf2.checkpoints.torch_pickle import open_pytorch
from bert_tf2.errors import InputError

# What torch.save wrote for the dictionary of EXPECTED, zlib and base 85.
ZIP = (
    "c-o~_%WvaE7@x$6n`TR26xuCN-jIbhjq`AteYKdyEEs9C2Bc_(6x_sHTR3q)XVS88sf1EM;y|U<N_#;ZIPf2Egfrp*NGmQJkdPK};tzlWGvg"
    "$+C!1!wox~X>o!{g8;_ug#H6eyjB7p|hG@3<*SF`LLbG2?@Bfb5Bqbif=T4?P>Yc<z#%o?`cW-EEctDBx#zhu{N63`hPBB@H8knLKoV?wlsU"
    "BZ~Iwz2KBl2y;#Y}-z~ip^%r^{PABBnYWgWsCq?<fO4>Ld=IGRmU~(+x~}1h*u)yOa{b?K=#^p8^$ydL*lB2w5TTR!?-4Bk$p&hZc!7bFihz"
    "1P(>t%aocN}b(pk>k`=S!mS{2T6vYZ!bRVX*2&I_uv9lN+)?tnbdG0Pe!UG?@N?<|<=Cw!%7JSfY42wEERw1oLmf>87$9+_{n9Jm&el1V1S|"
    "nH^bWsdXvKl(@6s3FGr+Ws&vpPJ-I=Sf?b`zct@hPl3lHBKffpKQxMV~X}_k}d%45^K5FZsMLV_4Q<h1F))TaXU1zU4Nz`i!fLF$WpKC}5B%"
    "BWqLE?{v;*%ws6%ATy_CV;kRqVy|C}AP;MV0AVOm0z?VU`UK~Eg7X+I=y0(zP7ZGyp3yL|>B0Jt8>fFF2^%4u0=z<WA{Z2Av;(iwmrK6JYZz"
    "1=UjK}}x%?@-p~IW)bXglqe0=-oyFW$|qE~t7WXvO}KN;!kuGcVdb;tBtWCB!Wg&U9&OQN#h{qy@L)HS_^%Pykgp=@_Ps)l24H5+CVt4i*8%"
    "Knn`)WG^K{7p(m(IXAap!L3i%^TQs>9DKHxd+khEyu>#F{y{ng+EWz0Tqw*Fo`aPQfW1#DrZk%z-QfCCodc1Nv=I|eZ4^)&42mV!2<ci!U#v"
    "pVMmgxr0&}hDdz{OCEvMolcq&%gw{q_E2}E!PtyKtq~h<X{(s-h9Xx=3?xgxX=16ysc6aLOr}w_N67D~`pZ@2M)BmGtoeT38RAm|s`u~I7EA"
    "Kb%j*sr&RA7SoiE*O&$t9`!FJEoFJ9>VXQ1&oDSV=9@vq^${WYGWKRlBY#>0_FavhrF%F6K&dNzRi;R+gkpu~d@R$ddBKyj&!Y42!w+t%cuG"
    "#7By`jIgh|=QEhR(*w@=-yu9Y7@+gv&=k<Htma9AA-EVKIS7&rBrnes46>OJ&uk101}F~?rp{ytek+E!?BlV)6bWNfaSki-*kA&Lu{U{amd6"
    "GsHH@7TIc%<nz4t5!*S9=2&+7)KE{sKE9Jat?gEKP~g1!^L4!Ku?xAIa5{A&Pw?;$H|qPW}}NnxdroZ$9<yIJ^Qq8EuG{bh_=rw${tti?qiG"
    "r`XLXa5JEL7rj"
)
LEGACY = (
    "c-noF$#T;`5QeqcA%cXk6V|XhEJl`hmc)b*0t!pSMHfot$U`Jbk=)WasZf<FUmOC@z=0!g0gu9!N1%!WJsQU;gFt1?lxEuB-~CTdSNf>>zdk"
    "MeoO=7^<z&7qJ^LZ!xCKJanh*q`9fdS>Lf>8|QS5~Qh!|jv;g0W7>Jys;Ew34Xv}38bNH^QWj=gsz26+pVoRz`F*bO5J8AGyU{PF?{SwpcD#"
    "t4H|7%`Mi2Q?j(@rgrGC01WVEfSH|yys9AglQ8*&f0K8pMd1hFml|y-JzZzt9C?II-cLMDGA~*ve$JL<Xp}gVd5CsTqU6Jzo-j-*rc!cq6!&"
    "n9AoOGLaA7+>ou)X)iuZ_c{=S5rj~t9Vc)VL7?L4x!>Az};x?!sT$a*)3I|LWv$Cx4P85(9jJv4oDsC$Gpv!p^j3*n?HXJfUhCR%AM<^UM;a"
    "H*`g&T1Ef3OpM*vVx?$vv1f#2%dDpwkr2m~b|+*lqf6;2bCQEm*{*fdl9F;AO2=tyRlq9i|X2A^bv8c@Hi!_$3a%OyP<NSCi9NiJD#j*M{hG"
    "iNl4;Kp{7jeqGZlB@L$g3fH-}XzC600;ii?<ram!3AcI2v|`YPG?uV$2K>TM1(jM=tLmU5Uq*hB@e`9v{Orn{U!hPnp_WuZ*4lIv>gjIlwIa"
    "HG2XO-8?lPRfaQ8UwKF7^am^Gncjj}7#jGAkNk_aCBqfG}9D$M<@TGlkJpyL1!QB_3M`J{**JYvHFSA0xi(S#>E$;Z?8V3@GPZqaLYb5r_7O"
    "e;%DI~qAH6(!B&Oj_?`NuFJZy{9{iLj!;KcJck(*xix(Gwys92l3w<vM~IJf5h+3!i@0kH^_D<W&"
)
EXPECTED = {
    "whole": [[0, 1, 2], [3, 4, 5]],
    "turned": [[0, 3], [1, 4], [2, 5]],  # a view of the same storage
    "row": [3, 4, 5],
    "half": [1.5, -2],
    "brain": [[3], [-0.5]],  # bfloat16
    "empty": np.zeros([0, 3]),
    "parameter": [7],
}


def written(tmp_path, layout):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(zlib.decompress(base64.b85decode(layout)))
    return path


@pytest.mark.parametrize("layout", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_reads_files_of_pytorch(tmp_path, layout):
    arrays = open_pytorch(written(tmp_path, layout))
    assert arrays.keys() == {*EXPECTED, "ids"}
    for name, values in EXPECTED.items():
        array = arrays[name].read()
        assert (array.dtype, array.shape) == (np.float32, arrays[name].shape)
        np.testing.assert_array_equal(array, values)
    assert (arrays["ids"].shape, arrays["ids"].dtype) == ((1, 3), "int64")
    with pytest.raises(InputError, match=r"ids \(int64\) in .*pytorch_model.bin does not hold 32-bit or 16-bit"):
        arrays["ids"].read()


class Evil:
    def __reduce__(self):
        return print, ("this must never be printed",)


def write_zip(path, data, **content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", data)
        for name, value in content.items():
            archive.writestr(f"model/{name}", value)
    return path


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_code_in_the_file_is_not_executed(tmp_path, capsys, layout):
    path, data = tmp_path / "evil.bin", pickle.dumps({"a": Evil()})
    if layout == "zip":
        write_zip(path, data)
    else:
        path.write_bytes(data)
    with pytest.raises(InputError, match=r"it holds builtins\.print, which is not a weight"):
        open_pytorch(path)
    assert capsys.readouterr().out == ""


def tensor_beyond_its_storage(offset, shape, strides):
    """The pickle of a tensor with a storage of four floats, opcode by opcode."""
    numbers = [b"K" + bytes([number]) for number in (offset, *shape, *strides)]
    half = 1 + len(shape)
    return (
        b"\x80\x02}U\x01actorch._utils\n_rebuild_tensor_v2\n"
        b"((U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQ"
        + numbers[0]
        + b"("
        + b"".join(numbers[1:half])
        + b"t("
        + b"".join(numbers[half:])
        + b"t\x89NtRs."
    )


def test_tensors_stay_within_their_storage(tmp_path):
    storage = {"data/0": np.arange(4, dtype=np.float32).tobytes()}
    path = write_zip(tmp_path / "good.bin", tensor_beyond_its_storage(1, (3,), (1,)), **storage)
    np.testing.assert_array_equal(open_pytorch(path)["a"].read(), [1, 2, 3])
    for offset, shape, strides in ((2, (3,), (1,)), (0, (2, 2), (3, 2)), (0, (5,), (1,))):
        path = write_zip(tmp_path / "bad.bin", tensor_beyond_its_storage(offset, shape, strides), **storage)
        with pytest.raises(InputError, match="reaches beyond its storage"):
            open_pytorch(path)


def test_corrupt_files_are_errors(tmp_path):
    good = written(tmp_path, ZIP).read_bytes()
    too_long = b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62)  # its MemoryError says nothing
    for content in (b"", b"no pickle", good[: len(good) // 2], too_long):
        path = tmp_path / "damaged.bin"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"damaged\.bin cannot be read \([^)]"):
            open_pytorch(path)
    with pytest.raises(InputError, match=r"none\.bin: No such file"):
        open_pytorch(tmp_path / "none.bin")
    with zipfile.ZipFile(tmp_path / "other.bin", "w") as archive:
        archive.writestr("weights", b"")
    with pytest.raises(InputError, match=r"other\.bin cannot be read \(the archive has no data\.pkl\)"):
        open_pytorch(tmp_path / "other.bin")
    (tmp_path / "pointer.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match=r"pointer\.bin is a Git LFS pointer, not the weights; fetch them with git"):
        open_pytorch(tmp_path / "pointer.bin")
    path = write_zip(tmp_path / "list.bin", pickle.dumps([1]))
    with pytest.raises(InputError, match="a list instead of a dictionary of tensors"):
        open_pytorch(path)
    path = write_zip(tmp_path / "big.bin", pickle.dumps({}), byteorder=b"big")
    with pytest.raises(InputError, match="big-endian"):
        open_pytorch(path)
    short = write_zip(tmp_path / "short.bin", tensor_beyond_its_storage(1, (3,), (1,)), **{"data/0": b"\0" * 15})
    with pytest.raises(InputError, match=r"short\.bin is corrupt or truncated at a"):
        open_pytorch(short)["a"].read()


PROGRAM = """
import sys, torch, numpy
torch.manual_seed(0)
tensors = {f"layer.{index}.weight": torch.randn(3, index + 1) for index in range(20)}
torch.save(tensors, sys.argv[1] + "/zip.bin")
torch.save(tensors, sys.argv[1] + "/legacy.bin", _use_new_zipfile_serialization=False)
numpy.savez(sys.argv[1] + "/expected.npz", **{name: tensor.numpy() for name, tensor in tensors.items()})
"""


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_against_the_installed_pytorch(tmp_path):
    # In a separate process, because PyTorch cannot always be imported together with TensorFlow.
    subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], check=True)
    expected = np.load(tmp_path / "expected.npz")
    for layout in ("zip", "legacy"):
        arrays = open_pytorch(tmp_path / f"{layout}.bin")
        assert arrays.keys() == set(expected.files)
        for name in expected.files:
            np.testing.assert_array_equal(arrays[name].read(), expected[name])
