"""`bert-tf2 choose` without an installation: `python run_multiple_choice.py --help`."""

from bert_tf2.commands.run_multiple_choice import main

if __name__ == "__main__":
    main()
