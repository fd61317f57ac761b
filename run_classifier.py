"""`bert-tf2 classify` without an installation: `python run_classifier.py --help`."""

from bert_tf2.commands.run_classifier import main

if __name__ == "__main__":
    main()
