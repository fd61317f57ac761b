"""Token classification: names and other spans in words, from CoNLL-style files."""
