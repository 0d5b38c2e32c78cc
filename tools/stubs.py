"""Write the stubs of `thalweg._core` and `thalweg.steps` from what is built and the bindings.

    python tools/stubs.py [--check]

What exists, its parameters and their defaults come from the extension itself; their types come from
the Rust signatures (rust_types.py). PyO3's own generator would need one declarative module, and
knows no arrays. `--check` writes nothing and fails when the committed file differs.
"""

import difflib
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

from rust_types import annotation, signatures

ROOT = Path(__file__).parents[1]
STUB = ROOT / "python" / "thalweg" / "_core.pyi"
IMPORTS = {
    "Sequence[": "from collections.abc import Sequence",
    "Any": "from typing import Any",
    "Final[": "from typing import Final",
    "@final": "from typing import final",
    "np.": "import numpy as np",
    "NDArray[": "from numpy.typing import NDArray",
}
MARK = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


class Writer:
    """Text of the stub of one extension module."""

    def __init__(self, module, sources):
        self.module = module
        self.rust = signatures(sources)
        self.classes = {name for name, value in vars(module).items() if inspect.isclass(value)}

    def text(self):
        body = []
        if exported := getattr(self.module, "__all__", None):
            body.append(f"__all__ = {sorted(exported)}")
        for name, value in sorted(vars(self.module).items()):
            if inspect.isclass(value):
                body += self.klass(value)
            elif callable(value):
                body.append(self.function(name, value))
            elif not name.startswith("_"):
                body.append(f"{name}: Final[{type(value).__name__}]")
        used = [line for word, line in IMPORTS.items() if any(word in part for part in body)]
        return "\n".join(["# Written by `make stubs`; do not edit.", "", *used, "", *body, ""])

    def klass(self, cls):
        name, body = cls.__name__, []
        if issubclass(cls, BaseException):
            return [f"class {name}({cls.__base__.__name__}): ..."]
        if "__new__" in vars(cls):
            body.append(self.function("__new__", cls, cls, bound="cls", rust="new"))
        # PyO3 keeps properties in a hash map: their order differs from process to process.
        members = vars(cls).items()
        properties = sorted((k, v) for k, v in members if inspect.isgetsetdescriptor(v))
        rest = [(k, v) for k, v in members if not inspect.isgetsetdescriptor(v)]
        for attribute, value in [*rest, *properties]:
            bound = (name, attribute) in self.rust
            if inspect.isgetsetdescriptor(value):
                body += self.prop(attribute, name)
            elif attribute == "__new__" or (attribute.startswith("_") and not bound):
                continue
            elif isinstance(value, staticmethod):
                body += ["@staticmethod", self.function(attribute, value.__func__, cls)]
            elif type(value).__name__ == "classmethod_descriptor":
                method = self.function(attribute, getattr(cls, attribute), cls, bound="cls")
                body += ["@classmethod", method]
            elif callable(value):
                body.append(self.function(attribute, value, cls))
        inherits = cls.__flags__ & 1 << 10
        head = [f"class {name}:"] if inherits else ["@final", f"class {name}:"]
        return [*head, *(f"    {line}" for line in body or ["..."])]

    def prop(self, name, owner):
        """Lines of a property; one that `#[pyo3(get)]` makes of a field has type Any."""
        read = self.rust.get((owner, name)) or self.rust.get((owner, f"get_{name}"))
        kind = annotation(read[1], owner, self.classes, result=True) if read else "Any"
        lines = ["@property", f"def {name}(self) -> {kind}: ..."]
        if write := self.rust.get((owner, f"set_{name}")):
            kind = annotation([*write[0].values()][-1], owner, self.classes)
            lines += [f"@{name}.setter", f"def {name}(self, value: {kind}) -> None: ..."]
        return lines

    def function(self, name, value, cls=None, *, bound=None, rust=None):
        """`def` of a callable; `bound` is the parameter that its signature leaves out."""
        owner = cls and cls.__name__
        types, result = self.rust.get((owner, rust or name), ({}, "Any"))
        parts = [bound] if bound else []
        last = None
        for p in inspect.signature(value).parameters.values():
            if last is p.POSITIONAL_ONLY and p.kind is not last:
                parts.append("/")
            if p.kind is p.KEYWORD_ONLY and last not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
                parts.append("*")
            parts.append(self.parameter(p, types, owner))
            last = p.kind
        if last is inspect.Parameter.POSITIONAL_ONLY:
            parts.append("/")
        returns = annotation(result, owner, self.classes, result=True)
        if name == "__new__":
            returns = owner
        return f"def {name}({', '.join(parts)}) -> {returns}: ..."

    def parameter(self, p, types, owner):
        if p.name == "self":
            return "self"
        kind = annotation(types.get(p.name, "Any"), owner, self.classes)
        if p.default is None and kind != "Any" and not kind.endswith("| None"):
            kind += " | None"
        if p.default is p.empty:
            return f"{MARK.get(p.kind, '')}{p.name}: {kind}"
        return f"{p.name}: {kind} = {'...' if p.default is ... else repr(p.default)}"


def steps_text(steps):
    """Text of the stub of `thalweg.steps`, whose classes are made from the registry."""
    kinds = {float: "float", int: "int", bool: "bool", str: "str", type(None): "float | None"}
    lines = ["# Written by `make stubs`; do not edit.", ""]
    rules = rule_names(steps)
    lines += [
        f"from {getattr(steps, name).__module__} import {name} as {name}"
        for name in steps.__all__
        if name not in rules
    ]
    for name in rules:
        cls = getattr(steps, name)
        lines += [f"class {name}(Rule):", "    def __init__(", "        self,"]
        star = False
        for parameter in inspect.signature(cls).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not star:
                lines.append("        *,")
                star = True
            default = parameter.default
            kind = kinds.get(type(default))
            if isinstance(default, tuple):
                kind = f"tuple[{', '.join(['float'] * len(default))}]"
            if parameter.name in ("mask", "adjust_lr_fn"):
                kind = "str | None"
            lines.append(f"        {parameter.name}: {kind} = ...,")
        lines.append("    ) -> None: ...")
    return "\n".join([*lines, ""])


def rule_names(steps):
    """Names of the rules: what `thalweg.steps` exports besides is no class, or their base."""
    return [name for name in steps.__all__ if hasattr(getattr(steps, name), "rule")]


def optim_text(optim):
    """Text of the stub of `thalweg.optim`; each name stands in a file of its own."""
    lines = ["# Written by `make stubs`; do not edit.", ""]
    lines += [
        f"from {getattr(optim, name).__module__} import {name} as {name}" for name in optim.__all__
    ]
    return "\n".join([*lines, ""])


def formatted(path, text):
    """The text with the project's order of imports and layout."""
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--quiet", "--fix-only"], ["format"]):
        done = subprocess.run(
            [*ruff, *command, "--stdin-filename", path, "-"],
            input=text,
            stdout=subprocess.PIPE,
            check=True,
            encoding="utf-8",
            cwd=ROOT,
        )
        text = done.stdout
    return text


def main(arguments):
    core = importlib.import_module("thalweg._core")
    steps = importlib.import_module("thalweg.steps")
    optim = importlib.import_module("thalweg.optim")
    sources = sorted((ROOT / "src" / "python").rglob("*.rs"))
    texts = {
        STUB: Writer(core, [path.read_text(encoding="utf-8") for path in sources]).text(),
        STUB.parent / "steps" / "__init__.pyi": steps_text(steps),
        STUB.parent / "optim" / "__init__.pyi": optim_text(optim),
    }
    for path, text in texts.items():
        text = formatted(path, text)
        committed = path.read_text(encoding="utf-8") if path.exists() else ""
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8", newline="\n")
        elif text != committed:
            lines = committed.splitlines(True), text.splitlines(True)
            sys.stdout.writelines(difflib.unified_diff(*lines, "committed", "generated"))
            raise SystemExit(f"{path.relative_to(ROOT)} is not that of the sources; run make stubs")


if __name__ == "__main__":
    main(sys.argv[1:])
