"""`bert-tf2 inspect` without an installation: `python inspect_model.py --help`."""

from bert_tf2.commands.inspect_model import main

if __name__ == "__main__":
    main()
