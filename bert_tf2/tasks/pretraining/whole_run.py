"""Everything that `run_pretraining.py` does, in one call."""

import logging

from bert_tf2.tasks.finetuning.foundation import with_model_in_output_dir
from bert_tf2.tasks.pretraining import fill_mask, runner
from bert_tf2.tasks.pretraining.config import PretrainingConfig

logger = logging.getLogger(__name__)


def run(config: PretrainingConfig) -> dict[str, float] | None:
    """Trains, evaluates and fills masks according to the config.

    Returns:
      The results of the evaluation; None without one.

    Raises:
      InputError: records, lines, config, checkpoint and flags do not match, or the training diverged.
      OSError: a file cannot be written.
      Stopped: SIGTERM or Ctrl-C came during training; a checkpoint has been written.

    Examples:
      >>> from pathlib import Path
      >>> from bert_tf2 import BertConfig, BertModel, FullTokenizer
      >>> from bert_tf2.tasks import pretraining
      >>> _ = Path("vocab.txt").write_text("[PAD]\\n[UNK]\\n[CLS]\\n[SEP]\\n[MASK]\\ngood\\nbad\\nfilm\\n")
      >>> config = BertConfig(8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
      >>> BertModel(config).save_pretrained("tiny", tokenizer=FullTokenizer("vocab.txt"))
      >>> from bert_tf2.pretraining_data.config import PretrainingDataConfig
      >>> from bert_tf2.pretraining_data.runner import create_pretraining_data
      >>> _ = Path("text.txt").write_text("good film\\nbad film\\n\\nfilm\\ngood\\n" * 8)
      >>> data = PretrainingDataConfig(input_file="text.txt", output_file="records.tfrecord", vocab_file="vocab.txt")
      >>> summary = create_pretraining_data(data)
      >>> results = pretraining.run(
      ...     pretraining.PretrainingConfig(
      ...         input_file="records.tfrecord",
      ...         init_checkpoint="tiny",
      ...         output_dir="model",
      ...         do_train=True,
      ...         do_eval=True,
      ...         num_train_steps=2,
      ...         num_warmup_steps=0,
      ...         max_eval_steps=1,
      ...     )
      ... )
      >>> int(results["global_step"])
      2
    """
    config = with_model_in_output_dir(config)
    results = runner.run(config) if config.do_train or config.do_eval else None
    if config.do_predict and config.dry_run:
        fill_mask.check(config)
    elif config.do_predict:
        fill_mask.run(config)
    if config.dry_run:
        logger.info("Dry run: all checks passed; nothing was written.")
    return results
