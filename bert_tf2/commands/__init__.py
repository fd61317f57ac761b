"""The commands of `bert-tf2`: one module each, with the same name as the script in the repository that calls it."""
