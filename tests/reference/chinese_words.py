"""Which Chinese characters continue a word, character by character: what `chinese_words` is compared with."""

from collections.abc import Collection

from bert_tf2.tokenization.wordpiece import BasicTokenizer, FullTokenizer

_RULES = BasicTokenizer()


def is_chinese(char: str) -> bool:
    return _RULES._is_chinese_char(ord(char))


def marked_tokens(text: str, tokenizer: FullTokenizer, words: Collection[str] | None = None) -> list[str]:
    """The tokens of a text, with `##` before each Chinese character that continues a word.

    Args:
      text: a line; segmented, where there is no list of words.
      tokenizer: gives the tokens without marks.
      words: a list of words; the longest that begins at a place is the word there.
    """
    tokens: list[str] = []
    other, word_end = "", 0
    for place, char in enumerate(text):
        if not is_chinese(char):
            other += char
            continue
        tokens += tokenizer.tokenize(other)
        (token,) = tokenizer.tokenize(char)
        if words is None:
            continues = place > 0 and is_chinese(text[place - 1])
        else:
            continues = place < word_end
            if not continues:
                fitting = [word for word in words if text.startswith(word, place) and all(map(is_chinese, word))]
                word_end = place + max(map(len, fitting), default=1)
        tokens.append(f"##{token}" if continues else token)
        other = ""
    return tokens + tokenizer.tokenize(other)


def unmarked(token: str, vocab: dict[str, int]) -> str:
    """A token as the records have it."""
    return token if token in vocab else token.removeprefix("##")
