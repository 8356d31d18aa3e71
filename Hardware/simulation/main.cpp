// lcp-rtl: the array as Verilator makes it of its register-transfer code, with memories around it, driven over standard input and
// output. Numbers are little-endian, 32 bits where nothing else is said.
//
//   at the start     -> "LCPH", version 1, rows, columns, word, entries, lines, together
//   1 lines          the size of the maps, in lines; all 0
//   2 line count …   lines of the maps
//   3 line count …   lines of weights
//   4 count …        the words of the commands
//   5 seed           runs the commands; a seed other than 0 makes the memories slow at random
//                    -> clocks (64 bits), clipped numbers, 1 where it came to an end and 0 where nothing happened any more
//   6 line count     -> lines of the maps
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include <unistd.h>

#include "Vlcp_array.h"
#include "verilated.h"

namespace {

constexpr int kLatency = LCP_LATENCY;

// Standard output as it was at the start: what else is printed there goes to standard error.
FILE* answers;

bool readAll(void* place, size_t count) { return fread(place, 1, count, stdin) == count; }

uint32_t readNumber() {
    uint32_t number;
    if (!readAll(&number, sizeof number)) exit(0);  // The other end is gone.
    return number;
}

void write(const void* place, size_t count) {
    if (fwrite(place, 1, count, answers) != count) exit(1);
}

void writeNumber(uint32_t number) { write(&number, sizeof number); }

[[noreturn]] void refuse(const char* what) {
    fprintf(stderr, "lcp-rtl: %s\n", what);
    exit(1);
}

// Lines of bytes, each read a number of clocks after it was asked for, in order.
class Memory {
  public:
    std::vector<uint8_t> bytes;

    Memory(size_t lineBytes, size_t linesTogether) : line_(lineBytes), together_(linesTogether) {}

    size_t lineBytes() const { return line_; }

    // Some lines behind the last one that is asked for may be read.
    void reserve(size_t lines) {
        if (lines > (size_t(1) << 24)) refuse("a memory has at most 16777216 lines");
        if (lines * line_ > bytes.size()) bytes.resize(lines * line_, 0);
    }

    void ask(uint32_t line, uint64_t now, uint64_t wait) { asked_.push_back({line, now + kLatency + wait}); }

    bool hasAnswer(uint64_t now) const { return !asked_.empty() && asked_.front().second <= now; }

    size_t waiting() const { return asked_.size(); }

    // Addresses behind the memory, or before it, give zeros: the array masks them.
    void answer(void* place) const {
        auto* out = static_cast<uint8_t*>(place);
        for (size_t index = 0; index < together_; ++index) {
            const size_t start = ((asked_.front().first + index) & 0xFFFFFF) * line_;
            if (start + line_ <= bytes.size()) memcpy(out + index * line_, &bytes[start], line_);
            else memset(out + index * line_, 0, line_);
        }
    }

    void answered() { asked_.pop_front(); }

    void clear() { asked_.clear(); }

  private:
    size_t line_, together_;
    std::deque<std::pair<uint32_t, uint64_t>> asked_;
};

// xorshift64: only how slow the memories are depends on it.
struct Chance {
    uint64_t state;
    bool oneIn(int count) {
        if (!state) return false;
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        return state % count == 0;
    }
};

}  // namespace

int main(int argc, char** argv) {
    answers = fdopen(dup(STDOUT_FILENO), "w");
    dup2(STDERR_FILENO, STDOUT_FILENO);
    VerilatedContext context;
    context.commandArgs(argc, argv);
    auto top = std::make_unique<Vlcp_array>(&context);
    constexpr size_t wordBytes = LCP_WORD / 8, lineBytes = LCP_ROWS * wordBytes;
    Memory maps(lineBytes, LCP_LINES), weights(lineBytes * LCP_TOGETHER, 1);
    std::vector<uint32_t> commands;

    write("LCPH", 4);
    for (uint32_t number : {1, LCP_ROWS, LCP_COLUMNS, LCP_WORD, LCP_ENTRIES, LCP_LINES, LCP_TOGETHER}) writeNumber(number);
    fflush(answers);

    // LCP_RECORD names a file that gets the ports' values at the end of every clock, for the netlist's simulation (synthesis/power).
    const char* recordPath = getenv("LCP_RECORD");
    FILE* record = recordPath ? fopen(recordPath, "wb") : nullptr;
    if (recordPath && !record) refuse("LCP_RECORD names no file that can be written");
    if (record) {
#define PORT(name) fprintf(record, #name " %zu\n", sizeof top->name);
#include "ports.inc"
#undef PORT
        fputc('\n', record);
    }
    auto recordPorts = [&] {
        top->eval();
#define PORT(name) fwrite(&top->name, 1, sizeof top->name, record);
#include "ports.inc"
#undef PORT
    };

    auto run = [&](uint32_t seed) {
        Chance chance{seed};
        uint64_t now = 0, quiet = 0;
        size_t next = 0;
        auto tick = [&] {
            if (record) recordPorts();
            top->clock = 1, top->eval();
            top->clock = 0;
            ++now;
        };
        maps.clear(), weights.clear();
        top->reset = 1, top->command_valid = 0, top->map_answer_valid = 0, top->weight_answer_valid = 0;
        top->clock = 0, top->eval();
        for (int count = 0; count < 4; ++count) tick();
        top->reset = 0, now = 0;
        for (;;) {
            top->command_valid = next < commands.size();
            top->command_word = top->command_valid ? commands[next] : 0;
            // A memory that is slow takes nothing now and then, and answers late.
            top->map_request_ready = !chance.oneIn(3);
            top->weight_request_ready = !chance.oneIn(3);
            top->write_ready = !chance.oneIn(3);
            top->map_answer_valid = maps.hasAnswer(now) && !chance.oneIn(4);
            top->weight_answer_valid = weights.hasAnswer(now) && !chance.oneIn(4);
            if (top->map_answer_valid) maps.answer(&top->map_answer);
            if (top->weight_answer_valid) weights.answer(&top->weight_answer);
            top->eval();
            const bool isEnd = next == commands.size() && top->idle;
            const bool takesCommand = top->command_valid && top->command_ready;
            const bool asksMap = top->map_request_valid && top->map_request_ready;
            const bool asksWeight = top->weight_request_valid && top->weight_request_ready;
            const bool takesMap = top->map_answer_valid && top->map_answer_ready;
            const bool takesWeight = top->weight_answer_valid && top->weight_answer_ready;
            const bool writes = top->write_valid && top->write_ready;
            if (asksMap) maps.ask(top->map_request_line, now, chance.oneIn(5) ? 7 : 0);
            if (asksWeight) weights.ask(top->weight_request_line, now, chance.oneIn(5) ? 7 : 0);
            if (takesMap) maps.answered();
            if (takesWeight) weights.answered();
            if (writes) {
                // Ports of any width lie in memory as little-endian bytes.
                const auto* mask = reinterpret_cast<const uint8_t*>(&top->write_mask);
                const auto* lines = reinterpret_cast<const uint8_t*>(&top->write_line);
                const auto* words = reinterpret_cast<const uint8_t*>(&top->write_words);
                for (size_t part = 0; part < LCP_COLUMNS / LCP_ROWS; ++part) {
                    if (!(mask[part / 8] >> part % 8 & 1)) continue;
                    const size_t line = lines[3 * part] | lines[3 * part + 1] << 8 | lines[3 * part + 2] << 16;
                    const size_t start = line * lineBytes;
                    if (start + lineBytes > maps.bytes.size()) refuse("the array writes behind the end of the maps");
                    memcpy(&maps.bytes[start], words + part * lineBytes, lineBytes);
                }
            }
            if (takesCommand) ++next;
            quiet = takesCommand || asksMap || asksWeight || takesMap || takesWeight || writes ? 0 : quiet + 1;
            if (isEnd || quiet > 10000) {
                write(&now, sizeof now);
                writeNumber(top->clips);
                writeNumber(isEnd ? 1 : 0);
                fflush(answers);
                if (record && fflush(record)) refuse("LCP_RECORD's file cannot be written");
                return;
            }
            tick();
        }
    };

    for (;;) {
        switch (readNumber()) {
        case 1: {
            const uint32_t lines = readNumber();
            maps.bytes.clear();
            maps.reserve(lines);
            break;
        }
        case 2: {
            const uint32_t line = readNumber(), count = readNumber();
            if (uint64_t(line) + count > maps.bytes.size() / lineBytes) refuse("lines behind the end of the maps");
            if (!readAll(maps.bytes.data() + line * lineBytes, count * lineBytes)) return 0;
            break;
        }
        case 3: {
            const uint32_t line = readNumber(), count = readNumber();
            weights.reserve(size_t(line) + count);
            if (!readAll(weights.bytes.data() + line * weights.lineBytes(), count * weights.lineBytes())) return 0;
            break;
        }
        case 4: {
            const uint32_t count = readNumber();
            if (count > (1 << 24)) refuse("more commands than there can be");
            commands.resize(count);
            if (!readAll(commands.data(), count * sizeof(uint32_t))) return 0;
            break;
        }
        case 5: run(readNumber()); break;
        case 6: {
            const uint32_t line = readNumber(), count = readNumber();
            if (uint64_t(line) + count > maps.bytes.size() / lineBytes) refuse("lines behind the end of the maps");
            write(maps.bytes.data() + line * lineBytes, count * lineBytes);
            fflush(answers);
            break;
        }
        default: refuse("an operation that it does not know");
        }
    }
}
