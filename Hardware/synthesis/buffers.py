#!/usr/bin/env python3
"""Puts trees of buffers behind what leads to many gates, as a place-and-route tool does, and Yosys does not.

    buffers.py LIBERTY NETLIST.json OUT.json [LIMIT_FF]

NETLIST.json is what Yosys' write_json makes of a design with its modules. No net carries more capacitance than LIMIT_FF (10)
afterwards, but clocks, which a tree of their own would lead. Wires have no capacitance: nothing is placed. Prints what was put in.
"""
import json
import sys

from liberty import library

BUFFER = "BUFx4_ASAP7_75t_R"
CLOCKS = {"clock", "gated_clock"}


class Buffers:
    def __init__(self, cells, modules, limit):
        self.cells, self.modules, self.limit = cells, modules, limit
        self.inputs = {}  # {module: {port: [capacitance of each bit]}}
        self.added = {}  # {module: buffers}

    def load(self, kind, pin, index):
        if kind in self.cells:
            return self.cells[kind].get(pin, 0.0)
        if kind in self.modules:
            bits = self.of(kind).get(pin, [])
            # A macro's width is that of the instance.
            return bits[index] if index < len(bits) else 1.0
        return 0.0

    def of(self, name):
        """The capacitances of a module's inputs, once its own nets are done."""
        if name in self.inputs:
            return self.inputs[name]
        module = self.modules[name]
        ports = module["ports"]
        self.inputs[name] = {port: [1.0] * len(p["bits"]) for port, p in ports.items() if p["direction"] == "input"}
        if module["attributes"].get("blackbox") or not module["cells"]:
            return self.inputs[name]
        clocks = {bit for port, p in ports.items() if port in CLOCKS for bit in p["bits"]}
        clocks |= {bit for cell in module["cells"].values() for bit in cell["connections"].get("gated_clock", [])}
        sinks = {}
        for instance, cell in module["cells"].items():
            kind = cell["type"]
            for pin, bits in cell["connections"].items():
                if kind in self.cells and pin not in self.cells[kind]:
                    continue
                if kind in self.modules and self.modules[kind]["ports"][pin]["direction"] != "input":
                    continue
                for index, bit in enumerate(bits):
                    if isinstance(bit, int) and bit not in clocks:
                        sinks.setdefault(bit, []).append((self.load(kind, pin, index), instance, pin, index))
        self.added[name] = 0
        self.next = 1 + max([0] + [bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int)])
        loads = {}
        for bit, found in sinks.items():
            loads[bit] = self.tree(name, bit, found)
        self.inputs[name] = {
            port: [loads.get(bit, 0.0) for bit in p["bits"]] for port, p in ports.items() if p["direction"] == "input"}
        return self.inputs[name]

    def tree(self, name, bit, sinks):
        """Buffers for a net; what it carries then."""
        module = self.modules[name]
        total = sum(load for load, *_ in sinks)
        while total > self.limit and len(sinks) > 1:
            # Neighbours in the netlist lie beside each other.
            groups, group, sum_ = [], [], 0.0
            for sink in sinks:
                if group and sum_ + sink[0] > self.limit:
                    groups.append(group)
                    group, sum_ = [], 0.0
                group.append(sink)
                sum_ += sink[0]
            groups.append(group)
            sinks = []
            for group in groups:
                if len(group) == 1 and group[0][0] <= self.cells[BUFFER]["A"]:
                    sinks.append(group[0])
                    continue
                instance, net = f"buffer_{self.next}", self.next
                self.next += 1
                module["cells"][instance] = {
                    "hide_name": 0, "type": BUFFER, "parameters": {}, "attributes": {},
                    "port_directions": {"A": "input", "Y": "output"}, "connections": {"A": [bit], "Y": [net]}}
                module["netnames"][f"buffered_{net}"] = {"hide_name": 0, "bits": [net], "attributes": {}}
                for _, reader, pin, index in group:
                    module["cells"][reader]["connections"][pin][index] = net
                sinks.append((self.cells[BUFFER]["A"], instance, "A", 0))
                self.added[name] += 1
            before, total = total, sum(load for load, *_ in sinks)
            if total >= before:
                break
        return total


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit("usage: buffers.py LIBERTY NETLIST.json OUT.json [LIMIT_FF]")
    with open(sys.argv[2], encoding="utf-8") as file:
        design = json.load(file)
    buffers = Buffers(
        {name: cell.capacitance for name, cell in library(sys.argv[1]).items()}, design["modules"], float(sys.argv[4]) if len(sys.argv) == 5 else 10)
    top = next(name for name, module in design["modules"].items() if module["attributes"].get("top"))
    buffers.of(top)

    def count(name):
        cells = design["modules"][name]["cells"].values()
        return buffers.added.get(name, 0) + sum(
            count(c["type"]) for c in cells if c["type"] in design["modules"] and c["type"] not in buffers.cells)

    print(f"{count(top)} buffers in trees")
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        json.dump(design, file)


if __name__ == "__main__":
    main()
