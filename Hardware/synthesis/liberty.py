"""A library of cells as its Liberty file tells: what the other programs here need of it."""
import re


def tokens(path):
    """The file as words, strings and signs."""
    pattern = re.compile(r'/\*.*?\*/|"(?:[^"\\]|\\.)*"|[{}();:,\n]|[^\s{}();:,"]+', re.S)
    with open(path, encoding="utf-8") as file:
        for match in pattern.finditer(file.read()):
            word = match.group()
            if not word.startswith("/*") and word != "\\":
                yield word


def group(words):
    """What stands between braces: attributes and groups, as (name, argument, contents)."""
    attributes, groups = {}, []
    for word in words:
        if word == "}":
            break
        if word in ";\n":
            continue
        name = word
        sign = next(words)
        if sign == ":":
            # Some end with the line.
            value = []
            for word in words:
                if word in ";\n":
                    break
                value.append(word)
            attributes[name] = " ".join(value).strip('"')
        elif sign == "(":
            argument = []
            for word in words:
                if word == ")":
                    break
                if word not in ",\n":
                    argument.append(word.strip('"'))
            after = next(words)
            if after == "{":
                groups.append((name, argument, group(words)))
            else:
                attributes[name] = argument
    return attributes, groups


def numbers(text):
    return [float(x) for x in text.replace(",", " ").split()]


def middle(table):
    """A table's number for a slope of 20 ps and a small load: the third of its rows, the second in it."""
    rows = [numbers(row) for row in table[0]["values"]]
    row = rows[min(2, len(rows) - 1)]
    return row[min(2, len(row) - 1)] if len(rows) == 1 else row[min(1, len(row) - 1)]


class Cell:
    """A cell: µm², fF, fJ, pW."""

    def __init__(self, contents):
        attributes, groups = contents
        self.area = float(attributes.get("area", 0))
        # {input: fF}, {output: function}, {output: fJ for a change}
        self.capacitance, self.functions, self.energy = {}, {}, {}
        self.clock, self.clock_energy, self.leakage = None, 0.0, 0.0
        self.is_gate = "clock_gating_integrated_cell" in attributes
        self.is_register = any(kind == "ff" for kind, _, _ in groups)
        for kind, names, inner in groups:
            if kind == "pin":
                self.pin(names[0], inner)
            elif kind == "leakage_power" and "when" not in inner[0] and inner[0].get("related_pg_pin") == "VDD":
                self.leakage = float(inner[0]["value"])

    def pin(self, name, contents):
        attributes, groups = contents
        # What comes out of the supply: at the ground it is the same again.
        energies = [
            sum(middle(body) for table, _, body in inner[1] if table in ("rise_power", "fall_power"))
            for kind, _, inner in groups
            if kind == "internal_power" and inner[0].get("related_pg_pin") == "VDD"
        ]
        mean = sum(energies) / len(energies) if energies else 0.0
        if attributes.get("direction") == "output":
            self.functions[name] = attributes.get("function", "")
            # Rise and fall are two changes.
            self.energy[name] = mean / 2
        elif attributes.get("direction") == "input":
            self.capacitance[name] = float(attributes.get("capacitance", 0))
            if attributes.get("clock") == "true" or attributes.get("clock_gate_clock_pin") == "true":
                # Up and down in every clock.
                self.clock, self.clock_energy = name, mean


def library(path):
    """All cells by their names."""
    words = tokens(path)
    for word in words:
        if word == "{":
            break
    _, groups = group(words)
    return {names[0]: Cell(inner) for kind, names, inner in groups if kind == "cell"}


def table(function, pins):
    """A function's truth table: bit i is its value where pin k has bit k of i."""
    # Precedence as in the library: not, and, or.
    code = compile(function.replace("!", " not ").replace("*", " and ").replace("+", " or ").strip(), "function", "eval")
    result = 0
    for index in range(1 << len(pins)):
        if eval(code, {"__builtins__": {}}, {pin: bool(index >> k & 1) for k, pin in enumerate(pins)}):
            result |= 1 << index
    return result
