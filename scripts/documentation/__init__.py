"""What keeps README.md and docs/ true: their code blocks are run, and some pages are generated from the program."""
