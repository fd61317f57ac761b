"""A result is computed once for each source in a row."""

from bert_tf2.tasks.finetuning.latest import Latest


def test_result_of_the_latest_source_is_cached() -> None:
    latest = Latest[int]()
    computed: list[int] = []

    def compute() -> int:
        computed.append(len(computed))
        return computed[-1]

    first, second = [1], [1]
    assert [latest.of(source, compute) for source in (first, first, second, second, first)] == [0, 0, 1, 1, 2]
