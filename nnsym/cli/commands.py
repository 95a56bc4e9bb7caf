"""Every command: the module that holds it, imported when the command runs, and its line in ``nnsym --help``.

So each module imports at its top whatever it needs, and ``nnsym --help`` needs none of them.
"""

from __future__ import annotations

from typing import Final

#: Name of the command, and of its function in the module -> (module, what it does in 60 characters).
COMMANDS: Final = {
    "verify": ("nnsym.cli.verify", "One property, one method: verified, falsified or unknown."),
    "compare": ("nnsym.cli.compare", "One property by many methods, one row each."),
    "table": ("nnsym.cli.table", "A property of every item of a data set, in stages."),
    "export": ("nnsym.cli.files", "Write the model that is solved, or the property as VNN-LIB."),
    "explain": ("nnsym.cli.look", "One neuron's columns and rows in the program."),
    "bounds": ("nnsym.cli.bounds", "Widths and open neurons per layer, bounds of the property."),
    "choose": ("nnsym.cli.look", "The method to ask, and why, by cheap bounds."),
    "lipschitz": ("nnsym.cli.lipschitz", "A network's Lipschitz constant, certified above."),
    "show": ("nnsym.cli.look", "The network's IR as text, or drawn."),
    "search": ("nnsym.cli.look", "A recorded search: parts by depth, splits and gains."),
    "report": ("nnsym.cli.files", "An HTML page of a result or of a record."),
    "methods": ("nnsym.cli.about", "The methods, encodings and cuts that are installed."),
    "solvers": ("nnsym.cli.about", "Solver lanes: installed or not, versions, licence limits."),
    "check": ("nnsym.cli.check", "Check a certificate with the independent checker."),
    "audit": ("nnsym.cli.check", "Check all certificates of a folder."),
    "doctor": ("nnsym.cli.doctor", "What is installed, what is not, and how to get it."),
    "demo": ("nnsym.cli.demo", "Every method on a small network that ships with nnsym."),
}
