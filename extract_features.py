"""`bert-tf2 features` without an installation: `python extract_features.py --help`."""

from bert_tf2.commands.extract_features import main

if __name__ == "__main__":
    main()
