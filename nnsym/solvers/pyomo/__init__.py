"""Programs as Pyomo models, and lanes through Pyomo; :mod:`nnsym.solvers.pyomo_solvers` registers solvers with it."""
