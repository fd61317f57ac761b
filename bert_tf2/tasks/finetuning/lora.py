"""The LoRA settings of a fine-tuned model."""

from bert_tf2 import checkpoints
from bert_tf2.checkpoints import by_name, lora, pretrained
from bert_tf2.configs.lora import Lora
from bert_tf2.tasks.finetuning.config import FinetuningConfig


def find_lora(config: FinetuningConfig) -> Lora | None:
    """Finds the LoRA settings: those of the flags for training, else those of the checkpoint that is used.

    The updates are not merged into the kernels, so that a later evaluation gives the same numbers as the training.

    Raises:
      InputError: the flags and the checkpoint have different settings, or the checkpoint cannot be read.
    """
    if config.do_train:
        return config.lora
    path = str(checkpoints.latest(config.model_dir) or by_name.local_path(str(config.init_checkpoint)))
    saved = None
    if not pretrained.hugging_face_directory(path):
        path = checkpoints.find(path)
        saved = lora.checkpoint_lora(checkpoints.open_reader(path), path, checkpoints.read)
    if config.lora is not None:
        lora.check_same(config.lora, saved, path)
    return saved
