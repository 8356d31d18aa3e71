#!/bin/sh
# The state of a machine from an accelerometer: measures (generate.awk does), trains four branches, and predicts live over MQTT.
#   Examples/machine/run.sh [SECONDS]     about a minute; PORT=18830 is the broker's
set -eu
seconds=${1:-8}
. "$(dirname "$0")/../pipeline.sh"
begin machine

echo "== measuring 300 + 100 recordings of 2.56 seconds"
awk -v seed=1 -v recordings=300 -f "$here/generate.awk" >"$work/train.csv"
awk -v seed=2 -v recordings=100 -f "$here/generate.awk" >"$work/test.csv"

echo "== training"
data="csv:$work/train.csv,$work/test.csv,label=state,time=t,by=recording"
lcp train conv1d --branches 4 --data "$data" --epochs 20 --out "$work/motor"

echo "== predicting: an accelerometer publishes on home/motor, four workers compute, mosquitto_sub shows"
pipeline "$work/motor" 4
sensor motor home/motor --time t --fields ax=accel.x,ay=accel.y,az=accel.z
# 32 samples in a message, three messages a second.
awk -v seed=3 -v recordings=40 -v json=32 -f "$here/generate.awk" >"$work/live.json"
publish "$work/live.json" 0.32 "$seconds"
sed 's/.*"label":"\([^"]*\)","confidence":\([0-9.]*\).*"missing":\(\[[0-9,]*\]\).*/  \1  \2  missing \3/' "$work/predictions"
