"""Random questions for hypothesis, and a small vocabulary with which words are split, unknown or kept."""

import functools
import tempfile
from pathlib import Path

from hypothesis import strategies as st

from bert_tf2.tasks.squad.examples import Answer, Example
from bert_tf2.tasks.squad.words import split
from bert_tf2.tokenization.fast_wordpiece import FastTokenizer
from bert_tf2.tokenization.wordpiece import FullTokenizer

PIECES = [
    "the",
    "den",
    "##ver",
    "bron",
    "##cos",
    "a",
    "b",
    "##a",
    "##b",
    "an",
    "##an",
    "##n",
    "n",
    *".,'()#-",
    *"中国人",
    "é",
    "É",
    *("\u110b\u116a", "와", "ক", "##\u09c7", "##\u09be", "##ো"),
]
# Words of one piece or several, unknown or empty; words that change their length, or repeat their own beginning.
WORDS = [
    "the",
    "Denver",
    "Broncos,",
    "(den)",
    "ab",
    "abab.",
    "anan'an",
    "xyz",
    "\u200b",
    "é",
    "e\u0301n",
    "İa",
    "b#b##a",
    "中国",
    "国，",
    "a\u00a0b",
    "ΑΣ.",
    # Decomposed, they are longer, as long as the words with the piece that is [UNK].
    "와!😀",
    "কো😀.",
]
SPACES = [" ", " ", " ", "  ", "\n", "\u202f", "\u3000", ""]

TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(SPACES)), max_size=14).map(
    lambda pairs: "".join(word + space for word, space in pairs)
)


@functools.cache
def tokenizers(lower: bool = True) -> tuple[FullTokenizer, FastTokenizer]:
    """The reference tokenizer and the fast one, for the same vocabulary."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "vocab.txt")
        path.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES]) + "\n", encoding="utf-8")
        return FullTokenizer(str(path), lower), FastTokenizer(str(path), lower)


@st.composite
def questions(draw: st.DrawFn, training: bool, most: int = 4) -> list[Example]:
    """Questions on one to three contexts; for training, with answers or without."""
    language = draw(st.sampled_from(["en", "zh"]))
    paragraphs = [split(text, language) for text in draw(st.lists(TEXTS, min_size=1, max_size=3))]
    examples = []
    for number in range(draw(st.integers(1, most))):
        paragraph = draw(st.sampled_from(paragraphs))
        text = draw(TEXTS)
        if training and paragraph.words and draw(st.booleans()):
            first = draw(st.integers(0, len(paragraph.words) - 1))
            last = draw(st.integers(first, len(paragraph.words) - 1))
            quote = paragraph.quote(*paragraph.span(first, last))
            answer = draw(st.one_of(st.just(quote), st.just(quote[1:-1]), st.sampled_from(WORDS)))
            examples.append(Example(str(number), text, paragraph, (answer,), Answer(answer, first, last)))
        else:
            examples.append(Example(str(number), text, paragraph, is_impossible=training))
    return examples
