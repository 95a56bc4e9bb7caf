"""``python -m nnsym``: the command line, where the console script is not on the path."""

from nnsym.cli.start import nnsym

if __name__ == "__main__":
    nnsym()
