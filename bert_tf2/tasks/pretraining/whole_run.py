"""All that `run_pretraining.py` does, in one call."""

from bert_tf2.tasks.finetuning.foundation import with_model_in_output_dir
from bert_tf2.tasks.pretraining import fill_mask, runner
from bert_tf2.tasks.pretraining.config import PretrainingConfig


def run(config: PretrainingConfig) -> dict[str, float] | None:
    """Trains, evaluates and fills masks according to the config.

    Returns:
      The evaluation's results, None if there was none.

    Raises:
      InputError: records, lines, config, checkpoint and flags do not fit together, or the training diverged.
      OSError: something cannot be written.
      Stopped: SIGTERM or Ctrl-C came while it trained; a checkpoint has been written.
    """
    config = with_model_in_output_dir(config)
    results = runner.run(config) if config.do_train or config.do_eval else None
    if config.do_predict:
        fill_mask.run(config)
    return results
