#!/bin/sh
# What the array takes of an FPGA of Xilinx' series 7, by Yosys: make -C Hardware fpga
#   fpga.sh FOLDER [NAME=VALUE…]
# Up to 512 cells are made as one module, so that registers move into the multipliers; larger arrays module by module, which is quicker.
# Pins are not counted: the array is for the inside of a chip.
set -eu
fail() { echo "fpga.sh: $*" >&2; exit 1; }
[ $# -ge 1 ] || fail "usage: fpga.sh FOLDER [NAME=VALUE...]"
folder=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
command -v yosys >/dev/null 2>&1 || "$here/../../Scripts/setup.sh" hardware
mkdir -p "$folder"
parameters= rows=32 columns=64 word=8
for pair in "$@"; do
    parameters="$parameters -chparam ${pair%%=*} ${pair#*=}"
    case "$pair" in
        ROWS=*) rows=${pair#*=} ;;
        COLUMNS=*) columns=${pair#*=} ;;
        WORD=*) word=${pair#*=} ;;
    esac
done
flatten=
[ $((rows * columns)) -gt 512 ] || flatten=-flatten
cat >"$folder/fpga.ys" <<END
read_verilog -sv -I$here/../rtl $(echo "$here"/../rtl/*.sv)
hierarchy -check -top lcp_array $parameters
synth_xilinx -family xc7 -top lcp_array -noiopad -noclkbuf $flatten
tee -o $folder/cells stat
END
yosys -q "$folder/fpga.ys" >"$folder/yosys.log" 2>&1 || { tail -n 20 "$folder/yosys.log" >&2; fail "Yosys failed: see $folder/yosys.log"; }
# A lookup table that is memory counts as those that it is made of, a block of memory by its 36 kbit.
awk -v size="$rows × $columns cells of $word bits" '
    /^=== /{ delete count }
    NF == 2 { count[$1] = $2 }
    END {
        lut = count["LUT1"] + count["LUT2"] + count["LUT3"] + count["LUT4"] + count["LUT5"] + count["LUT6"]
        memory = 4 * (count["RAM32M"] + count["RAM64M"]) + 2 * count["RAM64X1D"] + count["SRL16E"]
        ff = count["FDRE"] + count["FDSE"] + count["FDCE"] + count["FDPE"]
        if (!count["DSP48E1"]) { print "fpga.sh: no multiplier was found" > "/dev/stderr"; exit 1 }
        printf "%s: %d DSP, %d FF, %d LUT, %s BRAM of 36 kbit\n", size, count["DSP48E1"], ff, lut + memory,
            count["RAMB36E1"] + count["RAMB18E1"] / 2
    }' "$folder/cells"
