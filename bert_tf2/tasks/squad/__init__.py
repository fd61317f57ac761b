"""Question answering on SQuAD: files -> examples -> windows -> answers -> scores.

A way through it: `examples` reads questions with their contexts (`words` cuts those into words), `features` cuts them
into windows of tokens, `model` scores tokens, `answers` turns its logits into text, `prediction_files` writes it,
`scoring` counts what is right. `features` and `answers` are the readable definitions; `tokenized` with `fast_features`,
and `fast_answers`, give the same, faster, and are what scripts use. No TensorFlow in any of these but `model`. `data`,
`logits` and `runner` put them together.
"""
