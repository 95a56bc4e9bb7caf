"""From a query to a program (:mod:`nnsym.encode.walk`), and encodings by name (:mod:`nnsym.encode.registry`)."""
