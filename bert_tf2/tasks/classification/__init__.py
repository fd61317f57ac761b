"""Classification and regression of texts and pairs of texts: GLUE, XNLI and anyone's data."""
