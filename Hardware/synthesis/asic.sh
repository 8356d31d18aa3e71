#!/bin/sh
# Area and longest path of the array on a library of standard cells, by Yosys and timing.py: make -C Hardware asic LIBERTY=FILE
#   asic.sh LIBERTY FOLDER [NAME=VALUE…]
# LIBERTY is ASAP7's (typical corner, regular threshold, all cells in one file), published by Arizona State University and ARM with
# OpenROAD's flow. Memories are not counted. Each module is synthesised once; a column's full adders are the library's own.
set -eu
fail() { echo "asic.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || fail "usage: asic.sh LIBERTY FOLDER [NAME=VALUE...]"
liberty=$1 folder=$2
[ -n "$liberty" ] || fail "name the library: make asic LIBERTY=FILE"
shift 2
here=$(cd "$(dirname "$0")" && pwd)
command -v yosys >/dev/null 2>&1 || fail "there is no Yosys: sudo apt-get install yosys"
grep -q FAx1_ASAP7_75t_R "$liberty" 2>/dev/null || fail "$liberty is no library of ASAP7, or is packed (xz -dk)"
mkdir -p "$folder"
period=1250
parameters=
for pair in "$@"; do parameters="$parameters -chparam ${pair%%=*} ${pair#*=}"; done
rtl=$here/../rtl
sources=$(ls "$rtl"/*.sv | grep -v -e lcp_full_adder.sv -e lcp_memory.sv)
cat >"$folder/asic.ys" <<END
read_verilog -sv -I$rtl $(echo $sources)
read_verilog -sv -lib $here/memory_macro.v
read_verilog -sv $here/asap7_adders.v
read_liberty -lib $liberty
hierarchy -check -top lcp_array $parameters -chparam GATES 1
synth -top lcp_array -run begin:
dfflibmap -liberty $liberty
abc -liberty $liberty -D $period
opt_clean -purge
tee -o $folder/area stat -liberty $liberty
write_json $folder/array.json
END
yosys -q "$folder/asic.ys" >"$folder/yosys.log" 2>&1 || { tail -n 20 "$folder/yosys.log" >&2; fail "Yosys failed: see $folder/yosys.log"; }
sed -n '/design hierarchy/,$p' "$folder/area"
