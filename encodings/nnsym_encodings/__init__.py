"""The encodings that ship with nnsym, one idea a file."""

from nnsym_encodings.anderson import ANDERSON
from nnsym_encodings.balas import BALAS
from nnsym_encodings.bigm import BIGM
from nnsym_encodings.krelu import krelu
from nnsym_encodings.lines import LINES
from nnsym_encodings.logarithmic import LOG
from nnsym_encodings.logical import INDICATOR, SOS1
from nnsym_encodings.partition import PARTITIONS, partition
from nnsym_encodings.smt import SMT
from nnsym_encodings.smt_cases import IMPLIES, ITE, TEXTBOOK
from nnsym_encodings.smt_short import SMT_SHORT
from nnsym_encodings.sos2 import SOS2
from nnsym_encodings.tangents import TANGENTS
from nnsym_encodings.tjandraatmadja import TJANDRAATMADJA
from nnsym_encodings.triangle import TRIANGLE

#: What ``nnsym`` finds through the entry point ``nnsym.encodings``.
ENCODINGS = (
    *(BIGM, *PARTITIONS, BALAS, LOG, SOS2, INDICATOR, SOS1),
    *(TRIANGLE, *LINES),
    *(SMT, SMT_SHORT, TEXTBOOK, ITE, IMPLIES),
)

#: Families of cuts, found the same way.
CUTS = (TJANDRAATMADJA, krelu(2), krelu(3), krelu(4), ANDERSON, TANGENTS)

__all__ = ["BALAS", "BIGM", "ENCODINGS", "INDICATOR", "ITE", "IMPLIES", "PARTITIONS", "SMT", "SOS1", "TEXTBOOK"]
__all__ += ["LOG", "SOS2"]
__all__ += ["ANDERSON", "CUTS", "LINES", "SMT_SHORT", "TANGENTS", "TJANDRAATMADJA", "TRIANGLE", "krelu", "partition"]
