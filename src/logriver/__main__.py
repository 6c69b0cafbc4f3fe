"""`python -m logriver` is the command `logriver`."""

from logriver.cli import main

if __name__ == "__main__":
    main()
