"""`bert-tf2 create-pretraining-data` without an installation: `python create_pretraining_data.py --help`."""

from bert_tf2.commands.create_pretraining_data import main

if __name__ == "__main__":
    main()
