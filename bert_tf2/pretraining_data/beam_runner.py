"""Processes the shards of create_pretraining_data.py on Apache Beam: the same files, from many machines."""

from collections.abc import Callable

from bert_tf2.errors import InputError
from bert_tf2.pretraining_data.shard import Job, Summary, make


def run(jobs: list[Job], finished: Callable[[Job, Summary], None], options: list[str]) -> None:
    """Runs jobs in a pipeline; the output does not depend on where `make` runs.

    Input, vocabulary and output must be under the same paths on all workers (a shared file system).

    Args:
      jobs: the jobs to run.
      finished: called with each job and its summary, at the end.
      options: Beam's options, for example `["--runner=FlinkRunner", "--flink_master=..."]`.

    Raises:
      InputError: Beam is not installed, or the result of a job is not on this machine.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise InputError("--runner needs Apache Beam: python -m pip install 'bert-tf2[beam]'.") from None
    with apache_beam.Pipeline(options=PipelineOptions(options)) as pipeline:
        # Without Reshuffle, the runner would process all groups on the one worker that has the list of them.
        _ = (
            pipeline
            | "groups" >> apache_beam.Create(jobs)
            | "spread" >> apache_beam.Reshuffle()
            | "make records" >> apache_beam.Map(make)
        )
    for job in jobs:
        summary = job.finished()
        if summary is None:
            raise InputError(
                f"{job.outputs[0]} was made on a worker but is not here; input and output must be on a file system "
                "shared by all workers."
            )
        finished(job, summary)
