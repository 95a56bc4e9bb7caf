"""``python -m tests.golden`` writes the golden texts anew; look at ``git diff tests/golden`` before you commit."""

from __future__ import annotations

import sys

from tests.golden import FOLDER, texts


def main() -> int:
    """Write every text, drop what is no longer made, and say what changed."""
    made = texts()
    for path in sorted(FOLDER.glob("*.txt")):
        if path.name not in made:
            path.unlink()
            print(f"removed {path.name}")
    for name, text in made.items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
