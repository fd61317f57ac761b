"""Text to tokens and ids, with the names of google-research/bert `tokenization.py`; no TensorFlow.

Examples:
  >>> from pathlib import Path
  >>> _ = Path("vocab.txt").write_text("[PAD]\\n[UNK]\\n[CLS]\\n[SEP]\\n[MASK]\\nwalk\\n##ed\\nhome\\n")
  >>> from bert_tf2 import tokenization
  >>> vocab = tokenization.load_vocab("vocab.txt")
  >>> tokenization.convert_tokens_to_ids(vocab, ["walk", "##ed"])
  [5, 6]
  >>> tokenization.convert_ids_to_tokens({index: piece for piece, index in vocab.items()}, [5, 6])
  ['walk', '##ed']
  >>> tokenization.convert_by_vocab(vocab, ["home"])
  [7]
  >>> text = tokenization.convert_to_unicode("a  café".encode())
  >>> tokenization.whitespace_tokenize(text)
  ['a', 'café']
  >>> tokenization.printable_text("café".encode("latin-1"))  # bytes that are not UTF-8 are omitted
  'caf'
  >>> tokenization.validate_case_matches_checkpoint(True, "uncased_L-12_H-768_A-12/bert_model.ckpt")
  >>> tokenization.validate_case_matches_checkpoint(True, "cased_L-12_H-768_A-12/bert_model.ckpt")
  Traceback (most recent call last):
      ...
  bert_tf2.errors.InputError: --do_lower_case=True does not fit ...
"""

from bert_tf2.tokenization.vocab_case import validate_case_matches_checkpoint
from bert_tf2.tokenization.wordpiece import (
    BasicTokenizer,
    FullTokenizer,
    WordpieceTokenizer,
    convert_by_vocab,
    convert_ids_to_tokens,
    convert_to_unicode,
    convert_tokens_to_ids,
    load_vocab,
    printable_text,
    whitespace_tokenize,
)

__all__ = [
    "BasicTokenizer",
    "FullTokenizer",
    "WordpieceTokenizer",
    "convert_by_vocab",
    "convert_ids_to_tokens",
    "convert_to_unicode",
    "convert_tokens_to_ids",
    "load_vocab",
    "printable_text",
    "validate_case_matches_checkpoint",
    "whitespace_tokenize",
]
