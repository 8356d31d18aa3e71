#!/bin/sh
# A library with the accumulators' memory, as a foundry's generator would write it: memory_macro.sh WIDTH PLACE_BITS
# What it is asked for comes 400 ps behind the clock, and what it gets is there 100 ps before it: assumed, no macro of ASAP7 is public.
set -eu
bus() { printf '  type (bits%s) { base_type : array; data_type : bit; bit_width : %s; bit_from : %s; bit_to : 0; }\n' "$1" "$1" $(($1 - 1)); }
setup='timing () { related_pin : "clock"; timing_type : setup_rising;
      rise_constraint (scalar) { values ("100"); } fall_constraint (scalar) { values ("100"); } }'
input() { printf '    pin (%s) { direction : input; capacitance : 1; %s }\n' "$1" "$setup"; }
inputs() { printf '    bus (%s) { bus_type : bits%s; direction : input; capacitance : 1; %s }\n' "$1" "$2" "$setup"; }
cat <<END
library (lcp_memory) {
  delay_model : table_lookup;
  time_unit : "1ps"; voltage_unit : "1V"; current_unit : "1mA"; capacitive_load_unit (1,ff); leakage_power_unit : "1pW";
  pulling_resistance_unit : "1kohm"; nom_voltage : 0.7;
$(bus "$1")
$(bus "$2")
  cell (lcp_memory) {
    area : 0;
    pin (clock) { direction : input; capacitance : 1; clock : true; }
$(input read)
$(input write)
$(inputs read_place "$2")
$(inputs write_place "$2")
$(inputs word "$1")
    bus (found) { bus_type : bits$1; direction : output;
      timing () { related_pin : "clock"; timing_type : rising_edge; timing_sense : non_unate;
        cell_rise (scalar) { values ("400"); } rise_transition (scalar) { values ("20"); }
        cell_fall (scalar) { values ("400"); } fall_transition (scalar) { values ("20"); } } }
  }
}
END
