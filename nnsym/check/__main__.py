"""``python -m nnsym.check CERTIFICATE [FILE ...]``: an interrupt ends it in one line, from here on."""

from __future__ import annotations

import os
import signal


def _leave(number: int, _: object) -> None:
    os.write(2, b"interrupted\n")
    os._exit(128 + number)  # nothing was begun that has to be ended: a check writes no file


if __name__ == "__main__":
    signal.signal(signal.SIGINT, _leave)
    from .command import main  # start: an interrupt is heard meanwhile

    os._exit(main())  # all was said: a stream that is closed or full would be tried once more
