"""What `bert-tf2` can do: a module for each command, with the name of the script in the repository that calls it."""
