"""`bert-tf2 export` without an installation: `python export_model.py --help`."""

from bert_tf2.commands.export_model import main

if __name__ == "__main__":
    main()
