#!/bin/sh
# Proves by induction what the files here say of the modules of rtl, by Yosys' own solver: prove.sh FOLDER
set -eu
cd "$(dirname "$0")/.."
folder=$1
mkdir -p "$folder"
prove() {
    module=$1
    shift
    log=$folder/$module.log
    if yosys -q -p "read_verilog -sv -formal -Irtl -Iformal rtl/lcp_$module.sv; hierarchy -check -top lcp_$module $*; proc
        memory_map; opt -full; async2sync; opt_clean
        sat -tempinduct -prove-asserts -set-assumes -seq 1 -maxsteps 8 -verify -show-public" >"$log" 2>&1; then
        echo "lcp_$module: proved in every clock"
    else
        tail -n 40 "$log" >&2
        echo "prove.sh: not true of lcp_$module, or not by induction over eight clocks: see $log" >&2
        exit 1
    fi
}
prove queue -chparam WIDTH 8 -chparam DEPTH 4
prove walker -chparam ROWS 8 -chparam ENTRIES 16
prove loader -chparam COLUMNS 8 -chparam TOGETHER 1
prove drain -chparam ROWS 4 -chparam ENTRIES 16
