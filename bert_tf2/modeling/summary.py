"""Human-readable summaries of models; no TensorFlow."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from bert_tf2.configs.model import BertConfig
from bert_tf2.errors import counted
from bert_tf2.modeling.lora import is_lora

if TYPE_CHECKING:
    import keras


def blocks(config: BertConfig, shapes: Mapping[str, Sequence[int]]) -> list[tuple[str, int]]:
    """The parameters of each block: name, indented below the block that it is a part of, and count; the last is all.

    Args:
      config: the encoder's.
      shapes: of the variables of the encoder and of any heads, by Google's names.
    """

    def count(*prefixes: str) -> int:
        return _parameters(shape for name, shape in shapes.items() if name.startswith(prefixes))

    first = "bert/encoder/layer_0"
    layers, hidden = config.num_hidden_layers, config.hidden_size
    rows = [
        ("embeddings", count("bert/embeddings/")),
        (f"  word_embeddings [{config.vocab_size}, {hidden}]", count("bert/embeddings/word_")),
        (
            f"  position_embeddings [{config.max_position_embeddings}, {hidden}]",
            count("bert/embeddings/pos"),
        ),
        (f"  token_type_embeddings [{config.type_vocab_size}, {hidden}]", count("bert/embeddings/token")),
        ("  LayerNorm", count("bert/embeddings/LayerNorm")),
        (f"encoder, {counted(layers, 'layer')}", count("bert/encoder/")),
        ("  one layer", count(f"{first}/")),
        ("    query, key, value", count(f"{first}/attention/self/")),
        ("    attention output, LayerNorm", count(f"{first}/attention/output/")),
        (f"    feed-forward {config.intermediate_size}", count(f"{first}/intermediate/", f"{first}/output/dense")),
        ("    LayerNorm", count(f"{first}/output/LayerNorm")),
        ("pooler", count("bert/pooler/")),
    ]
    of_lora = _parameters(shape for name, shape in shapes.items() if is_lora(name))
    if of_lora:
        rows.insert(-1, ("  LoRA, in all layers", of_lora))
    heads = {name.rsplit("/", 1)[0] for name in shapes if not name.startswith("bert/")}
    for head in sorted({"/".join(name.split("/")[:2]) for name in heads}):
        rows.append((f"head {head}", count(head)))
    return [*rows, ("total", count(""))]


def table(rows: Sequence[tuple[str, int]]) -> list[str]:
    """The lines of a table of `blocks`."""
    total = rows[-1][1]
    lines = [f"{name:<44}{parameters:>14,}{parameters / total:>8.1%}" for name, parameters in rows]
    return [f"{'block':<44}{'parameters':>14}{'share':>8}", *lines]


def summary(config: BertConfig, named_variables: Mapping[str, "keras.Variable"]) -> str:
    """The architecture on one screen: sizes, and parameters of each block.

    Args:
      config: the encoder's.
      named_variables: the encoder's, and those of any heads.
    """
    rows = blocks(config, {name: variable.shape for name, variable in named_variables.items()})
    total = rows[-1][1]
    title = (
        f"BERT: {counted(config.num_hidden_layers, 'layer')}, hidden {config.hidden_size}, "
        f"{counted(config.num_attention_heads, 'head')} of {config.head_size}, feed-forward "
        f"{config.intermediate_size} ({config.hidden_act}), {counted(config.max_position_embeddings, 'position')}"
    )
    in_training = "four times that in training with BERT's Adam (gradient, adam_m, adam_v)"
    if any(is_lora(name) for name in named_variables):
        trained = _parameters(v.shape for v in named_variables.values() if v.trainable)
        in_training = f"{trained * 12 / 2**20:,.1f} MiB more in training with BERT's Adam (gradient, adam_m, adam_v)"
    memory = f"{total * 4 / 2**20:,.0f} MiB of float32 weights, {in_training}"
    return "\n".join([title, *table(rows), memory])


def _parameters(shapes: Iterable[Sequence[int]]) -> int:
    """The number of parameters of such shapes; scalars, such as LoRA's scale, are settings and do not count."""
    return sum(math.prod(shape) for shape in shapes if len(shape))


def trained(named_variables: "Mapping[str, keras.Variable]", names: Collection[str]) -> str:
    """How many parameters are trained, and where; empty if all are.

    Args:
      named_variables: the model's.
      names: of those that are trained.
    """
    everything = _parameters(variable.shape for variable in named_variables.values())
    parts: dict[str, list[keras.Variable]] = {"LoRA": [], "embeddings": [], "encoder": [], "pooler": [], "head": []}
    for name in names:
        top = name.split("/")[1] if name.startswith("bert/") else "head"
        parts["LoRA" if is_lora(name) else top].append(named_variables[name])
    counts = {part: _parameters(v.shape for v in variables) for part, variables in parts.items() if variables}
    total = sum(counts.values())
    if total == everything:
        return ""
    where = ", ".join(f"{part} {count:,}" for part, count in counts.items())
    return f"Training {total:,} of {everything:,} parameters ({total / everything:.2%}): {where}."
