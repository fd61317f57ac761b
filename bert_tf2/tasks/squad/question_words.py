"""The question word of a question (who, what, how many), in English and Chinese."""

import re
from collections.abc import Sequence

OTHER = "other"
"""The name for questions without a question word."""

_ENGLISH = {
    "who": "who|whom|whose",
    "what": "what",
    "when": "when",
    "where": "where",
    "why": "why",
    "which": "which",
    "how many": "how (?:many|much)",
    "how": "how",
}

# In simplified and traditional characters.
_CHINESE = {
    "何时 (when)": "什么时候|什麼時候|甚麼時候|何时|何時|几时|幾時|哪年|哪一年|哪天|哪一天",
    "哪里 (where)": "哪里|哪裡|哪裏|哪儿|哪兒|何处|何處|什么地方|什麼地方",
    "为什么 (why)": "为什么|為什麼|為甚麼|为何|為何|何故|为啥",
    "怎么 (how)": "怎么|怎麼|怎样|怎樣|如何",
    "多少 (how many)": "多少|几|幾|多大|多高|多长|多長|多远|多遠|多久",
    "谁 (who)": "谁|誰|何人|什么人|什麼人|哪位",
    "哪 (which)": "哪",
    "什么 (what)": "什么|什麼|甚麼|啥|何",
}


def _pattern(forms_by_name: dict[str, str], template: str) -> re.Pattern[str]:
    alternatives = "|".join(f"({forms})" for forms in forms_by_name.values())
    return re.compile(template.format(alternatives), re.IGNORECASE)


_PATTERNS = {"en": _pattern(_ENGLISH, r"\b(?:{})\b"), "zh": _pattern(_CHINESE, "(?:{})")}
_NAMES = {"en": (*_ENGLISH, OTHER), "zh": (*_CHINESE, OTHER)}


def names(language: str) -> Sequence[str]:
    """The names of the question words in a language (`en` or `zh`), and `OTHER`."""
    return _NAMES[language]


def number_of(question: str, language: str) -> int:
    """The index in `names` of the first question word in a question.

        names("en")[number_of("In which year did he, who was ill, die?", "en")]  # "which"

    Args:
      question: the text of the question.
      language: `en` or `zh`.
    """
    match = _PATTERNS[language].search(" ".join(question.split()))
    return len(_NAMES[language]) - 1 if match is None else int(match.lastindex or 0) - 1
