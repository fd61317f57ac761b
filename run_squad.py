"""`bert-tf2 squad` without an installation: `python run_squad.py --help`."""

from bert_tf2.commands.run_squad import main

if __name__ == "__main__":
    main()
