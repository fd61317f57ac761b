"""What is installed, and what the files beside the code say of it."""

import re
import tomllib

from helpers.repository import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_dockerfile_copies_what_an_installation_needs() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()
    }
    assert copied == {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "bert_tf2"}
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == copied
    (entry_point,) = PROJECT["scripts"]
    assert f'ENTRYPOINT ["{entry_point}"]\n' in dockerfile
    for extra in re.findall(r"EXTRAS='\[(\w+)\]'", dockerfile):
        assert extra in PROJECT["optional-dependencies"]
