"""Every command: the module that holds it, imported when the command runs, its line in ``nnsym --help``, an example.

So each module imports at its top whatever it needs, and ``nnsym --help`` needs none of them.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Known(NamedTuple):
    """What is known of a command before it is imported: its module, what it does in 60 characters, and one use."""

    module: str
    line: str
    example: str


#: By the name of the command, and of its function in the module.
COMMANDS: Final = {
    "verify": Known(
        "nnsym.cli.verify",
        "One property, one method: verified, falsified or unknown.",
        "nnsym verify net.onnx prop.vnnlib --method bab --timeout 300",
    ),
    "compare": Known(
        "nnsym.cli.compare",
        "One property by many methods, one row each.",
        "nnsym compare file.py:close --methods ibp,crown,bigm,smt",
    ),
    "table": Known(
        "nnsym.cli.table",
        "A property of every item of a data set, in stages.",
        "nnsym table file.py:near --data digits.npz --eps 0.02,8/255",
    ),
    "export": Known(
        "nnsym.cli.files",
        "Write the model that is solved, or the property as VNN-LIB.",
        "nnsym export net.onnx prop.vnnlib --encoding bigm -o model.lp",
    ),
    "explain": Known(
        "nnsym.cli.look",
        "One neuron's columns and rows in the program.",
        'nnsym explain file.py:close --neuron "relu_1[7]"',
    ),
    "bounds": Known(
        "nnsym.cli.bounds",
        "Widths and open neurons per layer, bounds of the property.",
        "nnsym bounds net.onnx prop.vnnlib --method ibp,crown",
    ),
    "choose": Known(
        "nnsym.cli.look",
        "The method to ask, and why, by cheap bounds.",
        "nnsym choose net.onnx prop.vnnlib --timeout 10",
    ),
    "lipschitz": Known(
        "nnsym.cli.lipschitz",
        "A network's Lipschitz constant, certified above.",
        "nnsym lipschitz net.onnx --lower 0 --upper 1 -p inf",
    ),
    "show": Known(
        "nnsym.cli.look",
        "The network's IR as text, or drawn.",
        "nnsym show net.onnx net.svg",
    ),
    "search": Known(
        "nnsym.cli.look",
        "A recorded search: parts by depth, splits and gains.",
        "nnsym search search.jsonl --plot search.svg",
    ),
    "report": Known(
        "nnsym.cli.files",
        "An HTML page of a result or of a record.",
        "nnsym report result.json -o report.html",
    ),
    "methods": Known(
        "nnsym.cli.about",
        "The methods, encodings and cuts that are installed.",
        "nnsym methods",
    ),
    "solvers": Known(
        "nnsym.cli.about",
        "Solver lanes: installed or not, versions, licence limits.",
        "nnsym solvers",
    ),
    "check": Known(
        "nnsym.cli.check",
        "Check a certificate with the independent checker.",
        "nnsym check proof.json net.onnx prop.vnnlib",
    ),
    "audit": Known(
        "nnsym.cli.check",
        "Check all certificates of a folder.",
        "nnsym audit results networks",
    ),
    "doctor": Known(
        "nnsym.cli.doctor",
        "What is installed, what is not, and how to get it.",
        "nnsym doctor --device cuda",
    ),
    "demo": Known(
        "nnsym.cli.demo",
        "Every method on a small network that ships with nnsym.",
        "nnsym demo --output results",
    ),
}
