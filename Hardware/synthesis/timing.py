#!/usr/bin/env python3
"""The longest path of a netlist, by the tables of its library; of wires nothing is known, so they cost nothing.

    timing.py LIBERTY NETLIST.json [PERIOD_PS]

NETLIST.json is what Yosys' write_json makes of one flat module. Delay and slope of every gate are interpolated in the library's tables
from the slope at its input and the capacitance of the inputs that it drives. Prints the path from flip-flop to flip-flop, set-up time
included, that takes longest, and the slack to PERIOD_PS; exits with 1 where there is none. Times are picoseconds.
"""
import bisect
import json
import re
import sys

# At the module's inputs and at all clocks.
SLOPE = 20.0


def tokens(path):
    """The library as words, strings and signs."""
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


class Table:
    """Times for slopes and capacitances; or one number."""

    def __init__(self, contents):
        attributes, _ = contents
        numbers = lambda text: [float(x) for x in text.replace(",", " ").split()]
        self.x = numbers(attributes["index_1"][0]) if "index_1" in attributes else [0.0]
        self.y = numbers(attributes["index_2"][0]) if "index_2" in attributes else [0.0]
        self.values = [numbers(row) for row in attributes["values"]]
        if len(self.values) == 1 and len(self.y) == 1:
            self.values = [[value] for value in self.values[0]]

    @staticmethod
    def place(axis, at):
        if len(axis) == 1:
            return 0, 0, 0.0
        index = min(max(bisect.bisect_right(axis, at) - 1, 0), len(axis) - 2)
        # Beyond the table its last slope goes on.
        return index, index + 1, (at - axis[index]) / (axis[index + 1] - axis[index])

    def __call__(self, x, y):
        a, b, t = self.place(self.x, x)
        c, d, u = self.place(self.y, y)
        v = self.values
        low = v[a][c] + u * (v[a][d] - v[a][c])
        high = v[b][c] + u * (v[b][d] - v[b][c])
        return low + t * (high - low)


class Cell:
    def __init__(self, contents):
        attributes, groups = contents
        self.area = float(attributes.get("area", 0))
        self.capacitance, self.arcs, self.setup, self.outputs = {}, {}, {}, []
        self.clock = None
        for kind, names, inner in groups:
            if kind == "pin":
                self.pin(names[0], inner)

    def pin(self, name, contents):
        attributes, groups = contents
        if attributes.get("direction") == "output":
            self.outputs.append(name)
        else:
            self.capacitance[name] = float(attributes.get("capacitance", 0))
            if attributes.get("clock") == "true":
                self.clock = name
        for kind, _, inner in groups:
            if kind != "timing":
                continue
            what, tables = inner
            named = {table: Table(body) for table, _, body in tables if "values" in body[0]}
            how = what.get("timing_type", "combinational")
            if how in ("combinational", "rising_edge", "falling_edge") and "cell_rise" in named:
                arc = (what["related_pin"], what.get("timing_sense", "non_unate"), named, how)
                self.arcs.setdefault(name, []).append(arc)
            elif how in ("setup_rising", "setup_falling"):
                self.setup.setdefault(name, []).extend(
                    (edge, named[table]) for edge, table in (("rise", "rise_constraint"), ("fall", "fall_constraint")) if table in named)


def library(path):
    words = tokens(path)
    for word in words:
        if word == "{":
            break
    _, groups = group(words)
    return {names[0]: Cell(inner) for kind, names, inner in groups if kind == "cell"}


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: timing.py LIBERTY NETLIST.json [PERIOD_PS]")
    cells = library(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        modules = json.load(file)["modules"]
    name, module = next((n, m) for n, m in modules.items() if m["cells"] and not m.get("attributes", {}).get("blackbox"))
    gates, load, readers = {}, {}, {}
    for instance, cell in module["cells"].items():
        kind = cells.get(cell["type"])
        if kind is None:
            # A macro: its inputs are ends, its outputs are beginnings.
            continue
        pins = {pin: bits[0] for pin, bits in cell["connections"].items() if bits}
        gates[instance] = (kind, pins)
        for pin, capacitance in kind.capacitance.items():
            if pin in pins:
                load[pins[pin]] = load.get(pins[pin], 0) + capacitance
                readers.setdefault(pins[pin], []).append((instance, pin))

    # What each net waits for: arrival and slope for both edges, and what it came from.
    arrival = {}
    waiting = {}
    ready = []
    driven = {pins[output] for kind, pins in gates.values() for output in kind.outputs if output in pins}
    inputs = [bit for port in module["ports"].values() if port["direction"] == "input" for bit in port["bits"]]
    for bit in inputs + [net for net in readers if net not in driven]:
        arrival[bit] = {edge: (0.0, SLOPE, None) for edge in ("rise", "fall")}
    for instance, (kind, pins) in gates.items():
        if kind.setup or kind.clock:
            for output in kind.outputs:
                if output not in pins:
                    continue
                found = {}
                for _, _, tables, how in kind.arcs.get(output, []):
                    if how == "combinational":
                        continue
                    for edge in ("rise", "fall"):
                        delay = tables["cell_" + edge](SLOPE, load.get(pins[output], 0))
                        slope = tables[edge + "_transition"](SLOPE, load.get(pins[output], 0))
                        if edge not in found or delay > found[edge][0]:
                            found[edge] = (delay, slope, (instance, output, None, None))
                arrival[pins[output]] = found
        else:
            waiting[instance] = len({pins[p] for p in kind.capacitance if p in pins and pins[p] not in arrival})
    for instance in list(waiting):
        kind, pins = gates[instance]
        waiting[instance] = len({pins[p] for p in kind.capacitance if p in pins and pins[p] not in arrival})
        if waiting[instance] == 0:
            ready.append(instance)

    done = 0
    while ready:
        instance = ready.pop()
        kind, pins = gates[instance]
        done += 1
        for output in kind.outputs:
            if output not in pins:
                continue
            net, found = pins[output], {}
            for related, sense, tables, how in kind.arcs.get(output, []):
                if related not in pins:
                    continue
                for before, (time, slope, _) in arrival[pins[related]].items():
                    for edge in ("rise", "fall"):
                        if sense == "positive_unate" and edge != before or sense == "negative_unate" and edge == before:
                            continue
                        at = time + tables["cell_" + edge](slope, load.get(net, 0))
                        if edge not in found or at > found[edge][0]:
                            found[edge] = (at, tables[edge + "_transition"](slope, load.get(net, 0)),
                                           (instance, output, pins[related], before))
            is_new = net not in arrival
            arrival[net] = found or {edge: (0.0, SLOPE, None) for edge in ("rise", "fall")}
            if is_new:
                for reader in {reader for reader, _ in readers.get(net, [])}:
                    if reader in waiting:
                        waiting[reader] -= 1
                        if waiting[reader] == 0:
                            ready.append(reader)
    if done < len(waiting):
        sys.exit(f"timing: {len(waiting) - done} gates of {name} are in loops")

    worst = (0.0, None, None)
    for instance, (kind, pins) in gates.items():
        for pin, tables in kind.setup.items():
            for edge, table in tables:
                if pin in pins and edge in arrival.get(pins[pin], {}):
                    time, slope, _ = arrival[pins[pin]][edge]
                    at = time + table(slope, SLOPE)
                    if at > worst[0]:
                        worst = (at, pins[pin], edge)
    for port in module["ports"].values():
        if port["direction"] == "output":
            for bit in port["bits"]:
                for edge, (time, _, _) in arrival.get(bit, {}).items():
                    if time > worst[0]:
                        worst = (time, bit, edge)

    path, net, edge = [], worst[1], worst[2]
    while net is not None and arrival[net][edge][2] is not None:
        time, _, (instance, output, source, before) = arrival[net][edge]
        path.append(f"  {time:8.1f}  {module['cells'][instance]['type']:<24} {instance}.{output} {edge}")
        net, edge = source, before
    print(f"{name}: {worst[0]:.1f} ps, {1e6 / worst[0]:.0f} MHz, {len(path)} gates")
    print("\n".join(reversed(path)))
    if len(sys.argv) == 4:
        slack = float(sys.argv[3]) - worst[0]
        print(f"slack {slack:.1f} ps")
        sys.exit(slack < 0)


if __name__ == "__main__":
    main()
