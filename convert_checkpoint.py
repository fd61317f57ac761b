"""`bert-tf2 convert` without an installation: `python convert_checkpoint.py --help`."""

from bert_tf2.commands.convert_checkpoint import main

if __name__ == "__main__":
    main()
