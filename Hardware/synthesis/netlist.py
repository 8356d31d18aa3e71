#!/usr/bin/env python3
"""A netlist without its modules, for gates.cpp: gates in the order in which they can be computed, and what a change of each costs.

    netlist.py LIBERTY NETLIST.json OUT

Energies are of a change of a gate's output at 0.7 V: the library's own for the gate, and half of C V² for the inputs that it drives.
Wires are not known, so they cost nothing.
"""
import json
import struct
import sys

from liberty import library, table

VOLTAGE = 0.7
# Where a gate's energy is told, by words in its path; the first that fits.
PARTS = [
    ("multipliers", ".multiplier/"), ("adder trees", "/tree/"), ("cells' numbers", "cells/now/"),
    ("cells' next numbers", "cells/next/"), ("products", "cells/made/"), ("accumulators", "accumulators/"),
    ("sums of columns", "column["), ("taps", "taps/"), ("lanes", "lane["), ("drain", "drain/"),
    ("control and constants", ""),
]


class Flat:
    def __init__(self, cells, modules, top):
        self.cells, self.modules = cells, modules
        self.nets = 2  # 0 and 1 are themselves
        self.gates = []  # (part, kind, output pin, output net, input nets, table)
        self.registers = []  # (part, kind, data net, output net, clock net, is inverted)
        self.memories = []
        self.clock_gates = []  # (part, clock net out, enable net, energy in every clock, energy where it is handed on)
        self.load = {}
        self.tables = {}
        self.static = 0.0
        self.area = [0.0] * len(PARTS)
        self.leakage = [0.0] * len(PARTS)
        self.ports = {}
        module = modules[top]
        nets = {}
        for name, port in module["ports"].items():
            self.ports[name] = [self.net(nets, bit) for bit in port["bits"]]
        self.walk(module, nets, "")

    def net(self, nets, bit):
        if isinstance(bit, str):
            return 1 if bit == "1" else 0
        found = nets.get(bit)
        if found is None:
            found = nets[bit] = self.nets
            self.nets += 1
        return found

    def walk(self, module, nets, path):
        for instance, cell in module["cells"].items():
            kind, place = cell["type"], f"{path}{instance}/"
            connections = {pin: [self.net(nets, bit) for bit in bits] for pin, bits in cell["connections"].items()}
            if kind == "lcp_memory":
                depth = int(cell["parameters"]["DEPTH"], 2)
                self.memories.append((depth, connections))
            elif kind in self.cells:
                self.gate(kind, {pin: bits[0] for pin, bits in connections.items() if bits}, place)
            else:
                inner = self.modules[kind]
                below = {}
                # Inputs first: where one leads straight to an output, or that is constant, the nets outside are wired together.
                for pin, port in sorted(inner["ports"].items(), key=lambda item: item[1]["direction"] != "input"):
                    for bit, net in zip(port["bits"], connections.get(pin, [])):
                        if bit not in below and isinstance(bit, int):
                            below[bit] = net
                        elif port["direction"] == "output":
                            self.gates.append((0, None, None, net, [self.net(below, bit)], 0b10))
                self.walk(inner, below, place)

    def gate(self, kind, pins, place):
        cell = self.cells[kind]
        part = next(index for index, (_, words) in enumerate(PARTS) if words in place)
        self.area[part] += cell.area
        self.leakage[part] += cell.leakage
        for pin, capacitance in cell.capacitance.items():
            if pin in pins:
                self.load[pins[pin]] = self.load.get(pins[pin], 0.0) + capacitance
        if cell.is_gate:
            clock = cell.clock_energy + cell.capacitance[cell.clock] * VOLTAGE * VOLTAGE
            self.clock_gates.append((part, pins["GCLK"], pins["ENA"], clock, 2 * cell.energy["GCLK"]))
            return
        if cell.is_register:
            (output, function), = cell.functions.items()
            self.registers.append((part, kind, pins["D"], pins[output], pins[cell.clock], function == "IQN"))
            return
        inputs = sorted(pin for pin in cell.capacitance if pin in pins)
        for output, function in cell.functions.items():
            if output not in pins:
                continue
            key = (kind, output)
            if key not in self.tables:
                self.tables[key] = table(function, inputs) if function else 0
            self.gates.append(
                (part, kind, output, pins[output], [pins[pin] for pin in inputs], self.tables[key]))

    def sorted_gates(self):
        """So that each comes behind those whose output it reads."""
        driver = {gate[3]: index for index, gate in enumerate(self.gates)}
        waiting = [0] * len(self.gates)
        readers = {}
        ready = []
        for index, gate in enumerate(self.gates):
            before = {driver[net] for net in gate[4] if net in driver}
            waiting[index] = len(before)
            for other in before:
                readers.setdefault(other, []).append(index)
            if not before:
                ready.append(index)
        order = []
        while ready:
            index = ready.pop()
            order.append(self.gates[index])
            for reader in readers.get(index, []):
                waiting[reader] -= 1
                if waiting[reader] == 0:
                    ready.append(reader)
        if len(order) != len(self.gates):
            sys.exit("netlist: some gates are in loops")
        return order


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: netlist.py LIBERTY NETLIST.json OUT")
    cells = library(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        modules = json.load(file)["modules"]
    flat = Flat(cells, modules, next(name for name, module in modules.items() if module["attributes"].get("top")))

    def switching(net):
        return 0.5 * flat.load.get(net, 0.0) * VOLTAGE * VOLTAGE

    numbers = lambda *values: struct.pack(f"<{len(values)}I", *values)
    out = bytearray(b"LCPN")
    out += numbers(flat.nets, len(PARTS), len(flat.gates), len(flat.registers), len(flat.clock_gates), len(flat.memories), len(flat.ports))
    for (name, _), area, leakage in zip(PARTS, flat.area, flat.leakage):
        out += numbers(len(name)) + name.encode() + struct.pack("<dd", area, leakage)
    for part, kind, output, net, inputs, bits in flat.sorted_gates():
        energy = cells[kind].energy[output] + switching(net) if kind else 0.0
        out += struct.pack("<BBIQf", part, len(inputs), net, bits, energy) + numbers(*inputs)
    for part, kind, data, net, clock, inverted in flat.registers:
        cell = cells[kind]
        (output, _), = cell.functions.items()
        # Its clock goes up and down.
        each = cell.clock_energy + cell.capacitance[cell.clock] * VOLTAGE * VOLTAGE
        out += struct.pack("<BBIIIff", part, inverted, data, net, clock, cell.energy[output] + switching(net), each)
    for part, net, enable, always, open_ in flat.clock_gates:
        out += struct.pack("<BIIff", part, net, enable, always, open_)
    for depth, pins in flat.memories:
        out += numbers(depth, len(pins["found"]), len(pins["read_place"]))
        for pin in ("read", "read_place", "found", "write", "write_place", "word"):
            out += numbers(*pins[pin])
    for name, nets in flat.ports.items():
        out += numbers(len(name)) + name.encode() + numbers(len(nets), *nets)
    with open(sys.argv[3], "wb") as file:
        file.write(out)
    print(f"{len(flat.gates)} outputs of gates, {len(flat.registers)} registers, {len(flat.clock_gates)} gated clocks")


if __name__ == "__main__":
    main()
