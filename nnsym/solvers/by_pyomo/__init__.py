"""Lanes that go through Pyomo, and solvers that Pyomo users may call."""
