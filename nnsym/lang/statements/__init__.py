"""Formulas over terms, and their lowering to rows."""
