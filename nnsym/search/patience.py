"""What is dear and has often led nowhere is tried ever more rarely, whatever the clock says."""

from __future__ import annotations

from typing import final


@final
class Patience:
    """After ``most`` misses in a row only every occasion whose number is a power of two is taken."""

    def __init__(self, most: float) -> None:
        self.most, self.misses, self._skipped = most, 0, 0

    def missed(self) -> None:
        """An occasion was taken, in vain."""
        self.misses += 1

    def hit(self) -> None:
        """An occasion was worth it."""
        self.misses = self._skipped = 0

    def waits(self) -> bool:
        """True where an occasion is to be passed over."""
        if self.misses < self.most:
            return False
        self._skipped += 1
        return self._skipped & (self._skipped - 1) != 0
