"""What was made last is not made again."""

from bert_tf2.tasks.finetuning.latest import Latest


def test_once_for_each_source_in_a_row() -> None:
    latest = Latest[int]()
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    one, other = [1], [1]
    assert [latest.of(source, make) for source in (one, one, other, other, one)] == [0, 0, 1, 1, 2]
