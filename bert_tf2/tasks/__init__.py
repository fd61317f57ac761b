"""The tasks: text -> features -> model -> scores, one package each."""
