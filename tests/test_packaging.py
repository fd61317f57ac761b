"""The installed distribution, and whether the project's other files agree with it."""

import email
import itertools
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import distributions
import pytest
from helpers.repository import REPOSITORY

import bert_tf2
from bert_tf2.__main__ import COMMANDS

ADDRESS = "https://github.com/example/bert-tf2"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_dockerfile_copies_all_files_of_an_installation() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()
    }
    assert copied == {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "bert_tf2"}
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied
    (entry_point,) = PROJECT["scripts"]
    assert f'ENTRYPOINT ["{entry_point}"]\n' in dockerfile
    extras = [set(names.split(",")) for names in re.findall(r"EXTRAS='\[([\w,]+)\]'", dockerfile)]
    in_the_readme = re.search(r"pip install '\.\[([\w,]+)\]'", (REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert in_the_readme is not None
    for names in extras:  # of GPUs, and the default
        assert set(in_the_readme[1].split(",")) <= names <= PROJECT["optional-dependencies"].keys()
    assert len(extras) == 2


def test_messages_and_documents_name_existing_extras() -> None:
    """Messages name those of an installed package: `.[EXTRA]` works only in a clone."""
    code = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "bert_tf2").rglob("*.py")]
    documents = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "docs").rglob("*.md")]
    named = set(re.findall(r"'(?:\.|bert-tf2)\[([\w,]+)\]'", "".join([*code, *documents])))
    assert set(itertools.chain(*(names.split(",") for names in named))) <= PROJECT["optional-dependencies"].keys()
    assert "'.[" not in "".join(code)


def test_versions_agree() -> None:
    """The supported versions are those that the workflow tests; CI tests the oldest ones."""
    workflow = (REPOSITORY / ".github/workflows/tests.yml").read_text(encoding="utf-8")
    pythons, tensorflows = (
        re.findall(r"[\d.]+", versions)
        for versions in re.findall(r"^        (?:python|tensorflow): \[(.*)\]$", workflow, re.MULTILINE)
    )
    prefix = "Programming Language :: Python :: "
    assert pythons == [name.removeprefix(prefix) for name in PROJECT["classifiers"] if re.match(f"{prefix}3[.]", name)]
    assert PROJECT["requires-python"] == f">={pythons[0]}"
    major, minor = map(int, tensorflows[-1].split("."))
    allowed = f">={tensorflows[0]},<{major}.{minor + 1}"
    assert {f"tensorflow{allowed}", f"tensorflow-text{allowed}"} <= set(PROJECT["dependencies"])
    # With the newest Python, the oldest TensorFlow is the second one.
    oldest = (REPOSITORY / ".ci/oldest.txt").read_text(encoding="utf-8").splitlines()
    conditions = [f'python_version {sign} "{pythons[-1]}"' for sign in ("<", ">=")]
    assert oldest == [
        f"{name}=={tensorflow}.*; {condition}"
        for tensorflow, condition in zip(tensorflows, conditions, strict=False)
        for name in ("tensorflow", "tensorflow-text")
    ]
    locked = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    assert locked["constraint-dependencies"] == [f"tensorflow>={tensorflows[-1]}"]
    table = (REPOSITORY / "docs/versions.md").read_text(encoding="utf-8")
    assert set(tensorflows) <= set(re.findall(r"^\| 3[.]\d+ \| (2[.]\d+)", table, re.MULTILINE))


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (.*)$", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.fullmatch(rf"\[{re.escape(bert_tf2.__version__)}\] - (unreleased|\d{{4}}-\d\d-\d\d)", headings[0])


def test_files_about_the_project_name_targets_of_the_makefile() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    (declared,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert targets == set(declared.split())
    for path in (
        *(REPOSITORY / ".github").rglob("*.*"),
        *(REPOSITORY / name for name in (".pre-commit-config.yaml", "CONTRIBUTING.md", "README.md")),
    ):
        text = path.read_text(encoding="utf-8")
        named = re.findall(r"(?:`|run: |entry: |^)make ([a-z-]+)|target: ([a-z-]+)", text, re.MULTILINE)
        assert {name or target for name, target in named} <= targets, path


def test_the_lock_file_has_these_dependencies_from_pypi() -> None:
    text = (REPOSITORY / "uv.lock").read_text(encoding="utf-8")
    (own,) = re.findall(r'^name = "bert-tf2"$.*?(?=^\[\[package\]\])', text, re.MULTILINE | re.DOTALL)
    locked = tomllib.loads(own.replace("[package.", "["))["metadata"]["requires-dist"]
    declared = [*PROJECT["dependencies"], *itertools.chain(*PROJECT["optional-dependencies"].values())]
    pairs = [re.fullmatch(r"([\w.-]+)(?:\[.*\])?([^;]*)(?:;.*)?", line).groups() for line in declared]
    normal = {(re.sub(r"[._]", "-", name).lower(), specifier.strip()) for name, specifier in pairs}
    assert {(entry["name"], entry.get("specifier", "")) for entry in locked} == normal, "make lock"
    assert set(re.findall(r"https?://([^/\"]+)", text)) == {"files.pythonhosted.org", "pypi.org"}


def build(source: Path, kind: str, directory: Path) -> Path:
    """Builds a distribution of a source tree, a `wheel` or an `sdist`, by the hooks that every installer calls."""
    program = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, directory], check=True, capture_output=True, cwd=source)
    (path,) = directory.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist of a release from `ADDRESS`."""
    directory = tmp_path_factory.mktemp("sdist")
    distributions.copy_sources(directory / "copy")
    distributions.add_addresses(directory / "copy", ADDRESS)
    with tarfile.open(build(directory / "copy", "sdist", directory)) as archive:
        archive.extractall(directory, filter="data")
    return directory / f"bert_tf2-{bert_tf2.__version__}"


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist."""
    return build(sdist, "wheel", tmp_path_factory.mktemp("wheel"))


def without_python_path() -> dict[str, str]:
    """The environment variables except those of Python; with PYTHONPATH, pip would find the project installed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The executables of a fresh environment with the wheel, and with the dependencies of this process."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, env=without_python_path())
    python = environment / "bin/python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True, env=without_python_path())
    query = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site_packages = Path(subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip())
    # An editable installation of this project is a hook, not a path, and so is not included.
    (site_packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return environment / "bin"


def test_the_sdist_has_documents_and_tests(sdist: Path) -> None:
    for name in ("LICENSE", "CHANGELOG.md", "Dockerfile", "Makefile", "mkdocs.yml", "run_classifier.py"):
        assert (sdist / name).read_bytes() == (REPOSITORY / name).read_bytes()
    for directory in ("docs", "examples", "publishing", "tests", "benchmarks"):
        expected = {path.relative_to(REPOSITORY) for path in (REPOSITORY / directory).rglob("*.*")}
        expected = {path for path in expected if "__pycache__" not in path.parts and ".hypothesis" not in path.parts}
        assert expected <= {path.relative_to(sdist) for path in (sdist / directory).rglob("*")}


def test_the_wheel_installs_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = email.message_from_bytes(archive.read(f"bert_tf2-{bert_tf2.__version__}.dist-info/METADATA"))
    assert {name.split("/")[0] for name in names} == {"bert_tf2", f"bert_tf2-{bert_tf2.__version__}.dist-info"}
    package = [path for path in (REPOSITORY / "bert_tf2").rglob("*.*") if "__pycache__" not in path.parts]
    expected = {str(path.relative_to(REPOSITORY)) for path in package if path.is_file()}
    assert expected == {name for name in names if name.startswith("bert_tf2/")}
    assert metadata["Version"] == bert_tf2.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert {"gpu", "beam", "onnx"} <= set(metadata.get_all("Provides-Extra"))
    for name in ("Summary", "Keywords", "Author", "Requires-Python", "Classifier", "Requires-Dist"):
        assert metadata[name]
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL"))
    assert urls["Repository"] == ADDRESS
    assert urls["Changelog"] == f"{ADDRESS}/blob/v{bert_tf2.__version__}/CHANGELOG.md"
    targets = re.findall(r"\]\(([^)\s]+)\)", metadata.get_payload())
    assert any(target.startswith(f"{ADDRESS}/blob/v{bert_tf2.__version__}/docs/") for target in targets)
    assert all(target.startswith(("https://", "#")) for target in targets), targets


def test_commands_of_an_installation(installed: Path, tmp_path: Path) -> None:
    """Called from another directory, without this repository on Python's path."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, env=without_python_path())

    program = str(installed / "bert-tf2")
    imported = call(str(installed / "python"), "-c", "import bert_tf2; print(bert_tf2.__file__)")
    assert imported.stdout.startswith(str(installed.parent)), imported.stderr
    assert call(program, "--version").stdout == f"bert-tf2 {bert_tf2.__version__}\n"
    assert call(str(installed / "python"), "-m", "bert_tf2", "--help").stdout == call(program, "--help").stdout
    for name in COMMANDS:
        done = call(program, name, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "flags:" in done.stdout

    (tmp_path / "text.txt").write_text("a small text, of small words\n" * 9, encoding="utf-8")
    flags = ("--input_file=text.txt", "--output_file=vocab.txt", "--vocab_size=60", "--num_unused=0")
    done = call(program, "build-vocab", *flags)
    assert done.returncode == 0, done.stderr
    assert "small" in (tmp_path / "vocab.txt").read_text(encoding="utf-8").splitlines()
