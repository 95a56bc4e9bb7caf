"""A bounds engine that is made once per query and asked many times, torch-free (:mod:`nnsym.bounds.kept.engine`)."""
