"""The LoRA of a fine-tuned model."""

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import by_name, lora, pretrained
from bert_tf2.configs.lora import Lora
from bert_tf2.tasks.finetuning.config import FinetuningConfig


def find_lora(config: FinetuningConfig) -> Lora | None:
    """The LoRA of the flags if the model is trained; else that of the checkpoint used for evaluation or prediction.

    So that a training and a later evaluation of it give the same numbers, nothing is merged.

    Raises:
      InputError: the flags ask for another one than the checkpoint has, or that cannot be read.
    """
    if config.do_train:
        return config.lora
    path = str(checkpoints.latest(config.model_dir) or by_name.local_path(str(config.init_checkpoint)))
    kept = None
    if not pretrained.hugging_face_directory(path):
        path = checkpoints.find(path)
        kept = lora.checkpoint_lora(checkpoints.open_reader(path), path, checkpoints.read)
    if config.lora is not None:
        lora.check_same(config.lora, kept, path)
    return kept
