"""`python -m chatd`, and where the one-file binary begins."""

from chatd.cli import main

if __name__ == "__main__":
    main(prog_name="chatd")
