#!/bin/sh
# Does something when what a camera shows has changed.
#   Examples/shell/on-event.sh PIPELINE [SENSOR] [-h BROKER …]     what follows goes to mosquitto_sub
#
# For example, beside `lcp aggregator --threshold 0.8 --stable 3/5 --snapshots`:
#   Examples/shell/on-event.sh kitchen door -h broker.local
# It needs mosquitto_sub and jq (sudo apt-get install mosquitto-clients jq).
set -u
[ $# -gt 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
for program in mosquitto_sub jq; do
    command -v "$program" >/dev/null 2>&1 || { echo "on-event.sh: $program is not installed" >&2; exit 1; }
done
pipeline=$1
shift
sensor=+
case "${1:--}" in -*) ;; *) sensor=$1; shift ;; esac

# What is done: change this. The label and the sensor's name are strangers' text: keep the quotation marks around them.
act() {
    case "$label" in
        none) echo "$time  $sensor: nothing that is sure" ;;
        *) echo "$time  $sensor: $label, $confidence" ;;
    esac
}

folder=$(mktemp -d)
subscriber=
trap 'kill $subscriber 2>/dev/null; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP
mkfifo "$folder/events"
mosquitto_sub -t "lcp/$pipeline/event/$sensor" "$@" >"$folder/events" &
subscriber=$!

# @sh puts every value in quotation marks, so that eval makes of them nothing but values; an end of a line in one becomes a space.
jq --unbuffered -R -r 'fromjson? | objects | map_values(tostring | gsub("[\\p{Cc}]"; " ")) |
    @sh "sensor=\(.sensor) label=\(.label) confidence=\(.confidence) time=\(.time) since=\(.since)"' <"$folder/events" |
    while IFS= read -r words; do
        eval "$words"
        act
    done &
wait $!
