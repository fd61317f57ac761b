"""What fits in a terminal line, from wide to narrow."""

import pytest

from bert_tf2.io.progress_bar import State, display_width, render, shortened

TRAINING = State(
    description="Training",
    fraction=0.43,
    counts="4,300/10,000",
    speed="21.3 steps/s",
    short_speed="21.3/s",
    left="4:27 left",
    notes=("loss 1.523", "masked_lm_accuracy 0.3211", "learning_rate 0.0001"),
)


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (
            119,
            "Training  43% |██████████▊              |  4,300/10,000  21.3 steps/s  4:27 left  loss 1.523  "
            "masked_lm_accuracy 0.3211",
        ),
        (99, "Training  43% |█████████████▊                  |  4,300/10,000  21.3 steps/s  4:27 left  loss 1.523"),
        (79, "Training  43% |█████▏      |  4,300/10,000  21.3 steps/s  4:27 left  loss 1.523"),
        (76, "Training  43% |█████████            |  4,300/10,000  21.3 steps/s  4:27 left"),
        (60, "Training  43% |████████▏          |  21.3 steps/s  4:27 left"),
        (46, "Training  43% |████▋      |  21.3/s  4:27 left"),
        (39, "Training  43% |█▋  |  21.3/s  4:27 left"),
        (30, "43% |██▏  |  21.3/s  4:27 left"),
        (20, "43% |██▌   |  21.3/s"),
        (10, "43% |█▋  |"),
        (5, "Train"),
    ],
)
def test_notes_are_dropped_first_and_the_bar_is_kept(width: int, line: str) -> None:
    assert render(TRAINING, width) == line
    assert len(line) == width


@pytest.mark.parametrize("is_ascii", [False, True])
def test_no_line_is_longer_than_the_terminal(is_ascii: bool) -> None:
    long = "Tokenizing /data/评论/很长的名字/a_very_long_name_of_a_file.csv"
    for fraction in (None, 0.0, 0.999, 1.0, 1.2):
        for description in ("Training", long, long.replace(" ", "_")):
            state = State(**{**vars(TRAINING), "description": description, "fraction": fraction})
            for width in range(1, 160):
                line = render(state, width, is_ascii=is_ascii)
                assert display_width(line) <= width
                assert "loss" not in line or "4:27 left" in line
                assert "left" not in line or "/s" in line


def test_unknown_values_are_omitted() -> None:
    assert render(State(description="Reading", counts="5 lines"), 79) == "Reading  5 lines"
    assert render(State(description="Training", fraction=0.0, counts="0/8"), 32) == "Training   0% |           |  0/8"


def test_paths_keep_their_end() -> None:
    assert shortened("Tokenizing /data/reviews/train.csv", 24) == "Tokenizing …ws/train.csv"
    assert shortened("Tokenizing /data/reviews/train.csv", 24, is_ascii=True) == "Tokenizing .../train.csv"
    assert shortened("Tokenizing", 4) == "Toke"
    assert shortened("训练", 3) == "训"
