"""The language of properties: terms, formulas, boxes and balls, ``forall``.

Terms and formulas are what users hold; :func:`nnsym.lang.property.forall` turns them into the query of the IR.
"""
