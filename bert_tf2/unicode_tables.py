"""What each code point becomes: the rules of `tokenization.py` as a table."""

import unicodedata

from bert_tf2.tokenization import BasicTokenizer

CONTEXT = "\0"


def replacement(char: str, rules: BasicTokenizer) -> str:
    """What a character becomes between two letters; `CONTEXT` where that depends on what stands around it."""
    becomes = " ".join(rules.tokenize(f"a{char}b"))[1:-1]
    if rules.do_lower_case and (
        f"a{char}b".lower() != f"a{char}".lower() + "b" or any(map(unicodedata.combining, becomes))
    ):
        return CONTEXT
    return becomes
