"""The options that the examples share."""

import argparse
from pathlib import Path


def make_parser(description: str, picture: str | None = None) -> argparse.ArgumentParser:
    """Returns a parser with `--seed`, which shows the defaults in its help.

    Args:
      description: the first line of the help.
      picture: the default of `--output`, if the example writes a picture.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--seed", type=int, default=0, help="random seed that the runs start from")
    if picture:
        add("--output", type=Path, default=Path(picture), help="picture to write")
    return parser
