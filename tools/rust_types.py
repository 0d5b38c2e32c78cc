"""Types of the functions and methods in src/python, read from their Rust signatures."""

import re

_INTEGERS = ("u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize")
_PLAIN = {
    **dict.fromkeys(_INTEGERS, "int"),
    **dict.fromkeys(("f32", "f64"), "float"),
    **dict.fromkeys(("str", "String", "PyString"), "str"),
    "()": "None",
    "bool": "bool",
    "PyBytes": "bytes",
    "PyDict": "dict[Any, Any]",
    "PyList": "list[Any]",
    "PyTuple": "tuple[Any, ...]",
}
_ELEMENT = {
    "bool": "np.bool_",
    **{f"f{bits}": f"np.float{bits}" for bits in (32, 64)},
    **{f"i{bits}": f"np.int{bits}" for bits in (8, 16, 32, 64)},
    **{f"u{bits}": f"np.uint{bits}" for bits in (8, 16, 32, 64)},
    "usize": "np.uintp",
}
_TRANSPARENT = {"Bound", "Borrowed", "Py", "PyResult", "Result", "PyRef", "PyRefMut", "Box"}
_ARRAY = re.compile(r"Py(Readonly|Readwrite|Untyped)?Array(Like)?(\d|Dyn)?")
_ATTRIBUTES = r"((?:#\[[^\n]*\]\s*)*)(?:pub(?:\([^)]*\))?\s+)?"
_FUNCTION = re.compile(_ATTRIBUTES + r"fn\s+(?:r#)?(\w+)\s*(?:<[^({]*>)?\s*\(")
_CLASS = re.compile(_ATTRIBUTES + r"(?:struct|enum)\s+(\w+)")
_METHODS = re.compile(r"#\[pymethods\]\s*impl(?:<[^>]*>)?\s+(\w+)[^{]*\{")
_RESULT = re.compile(r"\s*->\s*((?:\[[^\]]*\]|[^{;])+?)\s*(?:where\b[^{]*)?\{")


def signatures(sources):
    """Parameters by name, and the result, of each (class or None, Python name).

    Parameters
    ----------
    sources : iterable of str
        Texts of Rust files.
    """
    texts = [re.sub(r"//[^\n]*", "", source) for source in sources]
    classes = {
        match[2]: _python_name(match[1], match[2])
        for text in texts
        for match in _CLASS.finditer(text)
        if "#[pyclass" in match[1]
    }
    found = {}
    for text in texts:
        blocks = [
            (m.end(), _closing(text, m.end() - 1), classes.get(m[1], m[1]))
            for m in _METHODS.finditer(text)
        ]
        for match in _FUNCTION.finditer(text):
            owners = [name for start, end, name in blocks if start < match.start() < end]
            end = _closing(text, match.end() - 1)
            result = _RESULT.match(text, end + 1)
            parameters = {}
            for parameter in _split(text[match.end() : end]):
                name, _, rust = re.sub(r"#\[[^\]]*\]\s*", "", parameter).partition(":")
                parameters[name.strip().removeprefix("mut ")] = rust
            key = (owners[0] if owners else None, _python_name(match[1], match[2]))
            found.setdefault(key, (parameters, result[1] if result else "()"))
    return found


def annotation(rust, owner=None, classes=(), *, result=False):
    """Python type of a Rust type, Any where the table has none; a `result` is exact."""
    rust = re.sub(r"'\w+\s+", "", rust.strip().lstrip("&")).strip().removeprefix("mut ").strip()
    name, _, inside = rust.removesuffix(">").partition("<")
    name = name.strip().split("::")[-1]
    inner = [part for part in _split(inside) if not part.startswith("'")]

    def of(part):
        return annotation(part, owner, classes, result=result)

    if rust.startswith("(") and rust != "()":
        return f"tuple[{', '.join(map(of, _split(rust[1:-1])))}]"
    if rust.startswith("["):
        return f"{'list' if result else 'Sequence'}[{of(rust[1:-1].split(';')[0])}]"
    if name == "Self":
        return owner
    if name in classes or name in _PLAIN:
        return _PLAIN.get(name, name)
    if _ARRAY.fullmatch(name):
        return f"NDArray[{_ELEMENT.get(inner[0], 'Any') if inner else 'Any'}]"
    if name in _TRANSPARENT and inner:
        return of(inner[0])
    if name == "Option":
        return "Any" if of(inner[0]) == "Any" else f"{of(inner[0])} | None"
    if name == "Vec" and inner == ["u8"] and result:
        return "bytes"
    if name == "Vec":
        return f"{'list' if result else 'Sequence'}[{of(inner[0])}]"
    return "Any"


def _python_name(attributes, name):
    renamed = re.search(r'\bname\s*=\s*"(\w+)"', attributes)
    return renamed[1] if renamed else name


def _split(text):
    """Parts of `text` between its outermost commas."""
    parts, depth = [""], 0
    for letter in text.replace("->", ""):
        depth += (letter in "<([{") - (letter in ">)]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _closing(text, start):
    """Place of the bracket that closes the one at `start`."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth == 0:
            return at
    raise ValueError(f"no closing bracket after {text[start : start + 40]!r}")
