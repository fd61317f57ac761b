"""Which Chinese characters continue a word, character by character: the reference for `chinese_words`."""

from collections.abc import Collection

from bert_tf2.tokenization.wordpiece import BasicTokenizer, FullTokenizer

_RULES = BasicTokenizer()


def is_chinese(char: str) -> bool:
    return _RULES._is_chinese_char(ord(char))


def marked_tokens(text: str, tokenizer: FullTokenizer, words: Collection[str] | None = None) -> list[str]:
    """The tokens of a text, with `##` before each Chinese character that continues a word.

    Args:
      text: a line, segmented if there is no word list.
      tokenizer: the tokenizer for tokens without marks.
      words: a word list; the longest word that begins at a position is taken.
    """
    tokens: list[str] = []
    other, word_end = "", 0
    for position, char in enumerate(text):
        if not is_chinese(char):
            other += char
            continue
        tokens += tokenizer.tokenize(other)
        (token,) = tokenizer.tokenize(char)
        if words is None:
            continues = position > 0 and is_chinese(text[position - 1])
        else:
            continues = position < word_end
            if not continues:
                matching = [word for word in words if text.startswith(word, position) and all(map(is_chinese, word))]
                word_end = position + max(map(len, matching), default=1)
        tokens.append(f"##{token}" if continues else token)
        other = ""
    return tokens + tokenizer.tokenize(other)


def unmarked(token: str, vocab: dict[str, int]) -> str:
    """The token in the records, without its mark."""
    return token if token in vocab else token.removeprefix("##")
