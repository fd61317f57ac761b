"""How `--help` is laid out."""

import pytest

from bert_tf2.configs import help_text
from bert_tf2.configs.help_text import COMMON, Flag, render

ABOUT = """\
Does something with a file, and says so in a sentence that is too long for a line.

    python do.py --source='a *.txt' \\
      --mode=fast --source=b

See also --kind."""
FLAGS = [
    Flag(name="kind", help="Of what.", group="Task", choices=("a", "b"), default="a"),
    Flag(name="mode", help="How fast.", group="Task", default=""),
    Flag(name="a_name_that_needs_a_line_of_its_own", help="Why.", group="Task", is_original=True, default="5e-05"),
    Flag(name="is_quick", help="Whether it is.", group="Files", is_boolean=True, default="false"),
    Flag(name="is_slow", help="Whether it is.", group="Files", is_boolean=True, default="true"),
    Flag(name="may_be", help="Unless omitted.", group="Files", is_boolean=True),
    Flag(name="source", help="To read.", group="Files"),
    Flag(name="target", help="To write.", group="Files", is_required=True),
]
TEXT = """\
Does something with a file, and says so in a sentence that
is too long for a line.

    python do.py --source='a *.txt' \\
      --mode=fast --source=b

See also --kind.

Common flags:
  --target            To write. (required)
  --source            To read.
  --mode              How fast. (default: '')

Files:
  --is_quick          Whether it is.
  --[no]is_slow       Whether it is. (default: true)
  --[no]may_be        Unless omitted.

Task:
  --a_name_that_needs_a_line_of_its_own
                      Why. (default: 5e-05)
  --kind              Of what. (one of a, b; default: a)

Help:
"""


def test_required_flags_then_those_of_the_examples_then_sections() -> None:
    """Within a section, those of the original come first."""
    assert render(ABOUT, FLAGS, ("Files", "Task"), 60).startswith(TEXT)
    assert COMMON not in render("Does nothing.", FLAGS[:2], ("Files", "Task"), 60)


def test_paths_and_lists_are_not_split() -> None:
    text = help_text.wrap("Layers such as -1,-2,-3,-4 of uncased_L-12_H-768_A-12 are read.", 30)
    assert text == "Layers such as -1,-2,-3,-4 of\nuncased_L-12_H-768_A-12 are\nread."


@pytest.mark.parametrize(("columns", "width"), [("200", 100), ("90", 90), ("60", 60), ("5", 40)])
def test_width_is_that_of_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert help_text.width() == width
