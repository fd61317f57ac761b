"""`bert-tf2 build-vocab` without an installation: `python build_vocab.py --help`."""

from bert_tf2.commands.build_vocab import main

if __name__ == "__main__":
    main()
