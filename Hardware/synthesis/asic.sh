#!/bin/sh
# Area, longest path and power of the array on a library of standard cells: make -C Hardware asic LIBERTY=FILE
#   asic.sh LIBERTY FOLDER RECORD [NAME=VALUE…]
# LIBERTY is ASAP7's (typical corner, regular threshold, all cells in one file), published by Arizona State University and ARM with
# OpenROAD's flow. Memories are not counted. Each module is synthesised once; a column's full adders are the library's own. Nothing is
# placed: wires have no length, and the clock comes everywhere at once.
#
# RECORD is what the simulated array's ports were (LCP_RECORD): the netlist has to give the same bits, and its changes are the power. Without
# one ("") neither is done.
set -eu
fail() { echo "asic.sh: $*" >&2; exit 1; }
[ $# -ge 3 ] || fail "usage: asic.sh LIBERTY FOLDER RECORD [NAME=VALUE...]"
liberty=$1 folder=$2 record=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
for tool in yosys sta python3 g++; do
    command -v $tool >/dev/null 2>&1 || "$here/../../Scripts/setup.sh" hardware
done
grep -q FAx1_ASAP7_75t_R "$liberty" 2>/dev/null || fail "$liberty is no library of ASAP7, or is packed (xz -dk)"
mkdir -p "$folder"
# Picoseconds.
period=1250
megahertz=$((1000000 / period))
parameters= columns=64 word=8 entries=64
for pair in "$@"; do
    parameters="$parameters -chparam ${pair%%=*} ${pair#*=}"
    case "$pair" in
        COLUMNS=*) columns=${pair#*=} ;;
        WORD=*) word=${pair#*=} ;;
        ENTRIES=*) entries=${pair#*=} ;;
    esac
done
rtl=$here/../rtl
sources=$(ls "$rtl"/*.sv | grep -v -e lcp_full_adder.sv -e lcp_clock_gate.sv -e lcp_memory.sv)
run() {
    yosys -q "$folder/$1.ys" >"$folder/$1.log" 2>&1 || { tail -n 20 "$folder/$1.log" >&2; fail "Yosys failed: see $folder/$1.log"; }
}

cat >"$folder/map.ys" <<END
read_verilog -sv -I$rtl $(echo $sources)
read_verilog -sv -lib $here/memory_macro.v
read_verilog -sv $here/asap7_cells.v
read_liberty -lib $liberty
hierarchy -check -top lcp_array $parameters -chparam GATES 1
synth -top lcp_array -run begin:
dfflibmap -liberty $liberty
abc -liberty $liberty -D $period
opt_clean -purge
write_json $folder/mapped.json
END
run map
python3 "$here/buffers.py" "$liberty" "$folder/mapped.json" "$folder/array.json"
cat >"$folder/write.ys" <<END
read_json $folder/array.json
write_verilog -noattr -noexpr $folder/array.v
read_liberty -lib $liberty
tee -o $folder/area stat -liberty $liberty
END
run write
sed -n 's/.*Chip area for top module.*: \([0-9]*\).*/area: \1 um2 without memories/p' "$folder/area"

# Both banks of sums.
width=$((columns * (word == 8 ? 32 : 48)))
bits=0
while [ $((1 << bits)) -lt "$entries" ]; do bits=$((bits + 1)); done
"$here/memory_macro.sh" $width $bits >"$folder/memory.lib"
cat >"$folder/timing.tcl" <<END
read_liberty $liberty
read_liberty $folder/memory.lib
read_verilog $folder/array.v
link_design lcp_array
create_clock -name clock -period $period clock
set_input_transition 20 [all_inputs]
set_input_delay -clock clock 100 [all_inputs]
set_output_delay -clock clock 100 [all_outputs]
check_setup -verbose
report_checks
exit
END
sta -no_splash -exit "$folder/timing.tcl" >"$folder/timing" 2>&1 || { cat "$folder/timing" >&2; fail "OpenSTA failed"; }
slack=$(sed -n 's/^ *\(-\{0,1\}[0-9.]*\) *slack.*/\1/p' "$folder/timing")
[ -n "$slack" ] || { cat "$folder/timing" >&2; fail "OpenSTA found no path"; }
path=$(awk "BEGIN { printf \"%.0f\", $period - $slack }")
echo "longest path: $path ps, or $((1000000 / path)) MHz; asked for were $period ps; see $folder/timing"

[ -n "$record" ] || exit 0
python3 "$here/netlist.py" "$liberty" "$folder/array.json" "$folder/netlist"
g++ -O2 -std=c++17 -o "$folder/gates" "$here/gates.cpp"
"$folder/gates" "$folder/netlist" "$record" $megahertz
case "$slack" in -*) fail "the array is too slow for $megahertz MHz" ;; esac
