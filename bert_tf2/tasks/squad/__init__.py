"""Question answering on SQuAD: files -> examples -> windows -> answers -> scores.

A way through it: `examples` reads questions with their contexts (`words` splits those into words), `tokenized_examples`
makes token ids of them, `windows` windows (of the sizes in `window_parameters`), `modeling.question_answering` scores
tokens, `span_selection` turns its logits into text (what an answer is stands in `answers`), `prediction_files` writes
it, `metrics.squad` counts what is right. No TensorFlow in any of these but the model. `data`, `logits` and `runner` put
them together.

`tests/reference` has the same windows and answers by their definitions, question by question as in the original.
"""
