"""`bert-tf2 ner` without an installation: `python run_ner.py --help`."""

from bert_tf2.commands.run_ner import main

if __name__ == "__main__":
    main()
