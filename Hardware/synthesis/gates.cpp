// Simulates a netlist (netlist.py) on the ports' values that the simulation of the register-transfer code recorded (LCP_RECORD): every
// output has to be the same in every clock, and what changes costs energy.
//
//   gates NETLIST RECORD MHZ
//
// A gate changes at most once in a clock: what swings forth and back within one (glitches) is not seen, and costs nothing.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

FILE* file;

[[noreturn]] void refuse(const char* what) {
    fprintf(stderr, "gates: %s\n", what);
    exit(1);
}

template <typename T>
T get() {
    T value;
    if (fread(&value, sizeof value, 1, file) != 1) refuse("the netlist ends too early");
    return value;
}

std::string getName() {
    std::string name(get<uint32_t>() & 0xFFFF, ' ');
    if (fread(name.data(), 1, name.size(), file) != name.size()) refuse("the netlist ends too early");
    return name;
}

std::vector<uint32_t> getNets(size_t count) {
    std::vector<uint32_t> nets(count);
    for (auto& net : nets) net = get<uint32_t>();
    return nets;
}

struct Part { std::string name; double area, leakage, energy = 0; };
struct Gate { uint8_t part, count; uint32_t net, inputs; float energy; uint64_t table; };
struct Register { uint8_t part; bool inverted; uint32_t data, net, clock; float energy, each; bool state = false; };
struct ClockGate { uint8_t part; uint32_t net, enable; float always, open; };
struct Memory {
    std::vector<uint32_t> read, place, found, write, writePlace, word;
    std::vector<std::vector<uint8_t>> words;
};
struct Port {
    std::string name;
    size_t bytes;
    std::vector<uint32_t> nets;
    bool isInput;
    uint32_t valid;  // a net: only while it is 1 the port's value counts
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4 || atof(argv[3]) <= 0) refuse("usage: gates NETLIST RECORD MHZ");
    file = fopen(argv[1], "rb");
    if (!file) refuse("the netlist cannot be read");
    char magic[4];
    if (fread(magic, 1, 4, file) != 4 || memcmp(magic, "LCPN", 4)) refuse("that is no netlist");
    const auto netCount = get<uint32_t>(), partCount = get<uint32_t>(), gateCount = get<uint32_t>(), registerCount = get<uint32_t>(),
               clockGateCount = get<uint32_t>(), memoryCount = get<uint32_t>(), portCount = get<uint32_t>();
    std::vector<Part> parts(partCount);
    for (auto& part : parts) part.name = getName(), part.area = get<double>(), part.leakage = get<double>();
    std::vector<Gate> gates(gateCount);
    std::vector<uint32_t> inputs;
    for (auto& gate : gates) {
        gate.part = get<uint8_t>(), gate.count = get<uint8_t>(), gate.net = get<uint32_t>();
        gate.table = get<uint64_t>(), gate.energy = get<float>(), gate.inputs = uint32_t(inputs.size());
        for (int index = 0; index < gate.count; ++index) inputs.push_back(get<uint32_t>());
    }
    std::vector<Register> registers(registerCount);
    for (auto& each : registers) {
        each.part = get<uint8_t>(), each.inverted = get<uint8_t>(), each.data = get<uint32_t>(), each.net = get<uint32_t>();
        each.clock = get<uint32_t>(), each.energy = get<float>(), each.each = get<float>();
    }
    std::vector<ClockGate> clockGates(clockGateCount);
    std::vector<int32_t> gateOfClock(netCount, -1);
    for (auto& gate : clockGates) {
        gate.part = get<uint8_t>(), gate.net = get<uint32_t>(), gate.enable = get<uint32_t>();
        gate.always = get<float>(), gate.open = get<float>();
        gateOfClock[gate.net] = int32_t(&gate - clockGates.data());
    }
    std::vector<Memory> memories(memoryCount);
    for (auto& memory : memories) {
        const auto depth = get<uint32_t>(), width = get<uint32_t>(), place = get<uint32_t>();
        memory.read = getNets(1), memory.place = getNets(place), memory.found = getNets(width);
        memory.write = getNets(1), memory.writePlace = getNets(place), memory.word = getNets(width);
        memory.words.assign(depth, std::vector<uint8_t>(width, 0));
    }
    std::map<std::string, std::vector<uint32_t>> portNets;
    for (uint32_t index = 0; index < portCount; ++index) {
        const auto name = getName();
        portNets[name] = getNets(get<uint32_t>());
    }
    fclose(file);

    file = fopen(argv[2], "rb");
    if (!file) refuse("the record cannot be read");
    std::vector<Port> ports;
    char line[256];
    bool isInput = true;
    while (fgets(line, sizeof line, file) && line[0] != '\n') {
        char name[200];
        size_t bytes;
        if (sscanf(line, "%199s %zu", name, &bytes) != 2 || !portNets.count(name)) refuse("the record is of other ports");
        // What the array tells comes behind what it is told.
        if (!strcmp(name, "command_ready")) isInput = false;
        const std::string words = name, valid = words.substr(0, words.rfind('_')) + "_valid";
        const bool hasValid = !isInput && words != valid && words.rfind("_ready") == std::string::npos && portNets.count(valid);
        ports.push_back({name, bytes, portNets[name], isInput, hasValid ? portNets[valid][0] : 1});
    }
    if (ports.empty()) refuse("the record is of other ports");

    std::vector<uint8_t> value(netCount, 0);
    value[1] = 1;
    for (auto& each : registers) value[each.net] = each.inverted;
    uint64_t clocks = 0, compared = 0;
    bool isFirst = true;
    std::vector<uint8_t> bytes(1 << 16);
    auto energyOf = [&](uint8_t part) -> double& { return parts[part].energy; };
    auto number = [&](const std::vector<uint32_t>& nets) {
        uint32_t result = 0;
        for (size_t bit = 0; bit < nets.size(); ++bit) result |= uint32_t(value[nets[bit]]) << bit;
        return result;
    };
    std::vector<uint8_t> recorded;
    for (;;) {
        size_t total = 0;
        for (const auto& port : ports) total += port.bytes;
        recorded.resize(total);
        if (fread(recorded.data(), 1, total, file) != total) break;
        const uint8_t* place = recorded.data();
        for (const auto& port : ports) {
            if (port.isInput)
                for (size_t bit = 0; bit < port.nets.size(); ++bit) value[port.nets[bit]] = place[bit / 8] >> (bit % 8) & 1;
            place += port.bytes;
        }
        for (const auto& gate : gates) {
            uint32_t index = 0;
            for (int input = 0; input < gate.count; ++input) index |= uint32_t(value[inputs[gate.inputs + input]]) << input;
            const uint8_t now = gate.table >> index & 1;
            if (now != value[gate.net]) {
                value[gate.net] = now;
                if (!isFirst) energyOf(gate.part) += gate.energy;
            }
        }
        place = recorded.data();
        for (const auto& port : ports) {
            if (!port.isInput && value[port.valid])
                for (size_t bit = 0; bit < port.nets.size(); ++bit, ++compared)
                    if (value[port.nets[bit]] != (place[bit / 8] >> (bit % 8) & 1)) {
                        fprintf(stderr, "gates: in clock %llu the netlist differs in bit %zu of %s\n", (unsigned long long)clocks, bit,
                                port.name.c_str());
                        return 1;
                    }
            place += port.bytes;
        }
        // The clock: everything takes what is there now.
        for (auto& gate : clockGates) energyOf(gate.part) += gate.always + (value[gate.enable] ? gate.open : 0);
        for (auto& each : registers) {
            const int32_t gate = gateOfClock[each.clock];
            if (gate >= 0 && !value[clockGates[gate].enable]) continue;
            energyOf(each.part) += each.each;
            each.state = value[each.data];
        }
        for (auto& memory : memories) {
            std::vector<uint8_t> found;
            const bool reads = value[memory.read[0]], writes = value[memory.write[0]];
            const uint32_t readPlace = number(memory.place), writePlace = number(memory.writePlace);
            if (reads) found = memory.words[readPlace];
            if (writes)
                for (size_t bit = 0; bit < memory.word.size(); ++bit) memory.words[writePlace][bit] = value[memory.word[bit]];
            if (reads)
                for (size_t bit = 0; bit < found.size(); ++bit) value[memory.found[bit]] = found[bit];
        }
        for (auto& each : registers) {
            const uint8_t now = each.state != each.inverted;
            if (now != value[each.net]) {
                value[each.net] = now;
                energyOf(each.part) += each.energy;
            }
        }
        ++clocks;
        isFirst = false;
    }
    if (clocks < 100) refuse("the record has fewer than 100 clocks");
    double area = 0, power = 0, leakage = 0;
    // fJ in a clock, times MHz: nW.
    const double factor = atof(argv[3]) * 1e-6 / double(clocks);
    for (const auto& part : parts) area += part.area, power += part.energy * factor, leakage += part.leakage * 1e-9;
    printf("the netlist gave all of %llu bits in %llu clocks\n\n", (unsigned long long)compared, (unsigned long long)clocks);
    printf("%-24s %10s %8s\n", "", "area um2", "mW");
    for (const auto& part : parts)
        printf("%-24s %10.0f %8.2f\n", part.name.c_str(), part.area, part.energy * factor + part.leakage * 1e-9);
    printf("%-24s %10.0f %8.2f\n", "in all", area, power + leakage);
    printf("%-24s %10s %8.2f\n", "  of it, leakage", "", leakage);
}
