"""`bert-tf2 pretrain` without an installation: `python run_pretraining.py --help`."""

from bert_tf2.commands.run_pretraining import main

if __name__ == "__main__":
    main()
