#!/bin/sh
# A classifier from scikit-learn (room.onnx, which train.py made) over the JSON of MQTT sensors: is a room empty, occupied or airing?
#   Examples/room/run.sh [SECONDS]        about half a minute; PORT=18830 is the broker's
set -eu
seconds=${1:-6}
. "$(dirname "$0")/../pipeline.sh"
begin room

echo "== importing the classifier: a network in one piece, which takes numbers as they are"
lcp model import "$here/room.onnx" --fields temperature,humidity,co2,light --out "$work/whole" | tail -n 1

echo "== two branches learn from it"
awk -v seed=1 -v days=10 -f "$here/generate.awk" >"$work/train.csv"
awk -v seed=2 -v days=5 -f "$here/generate.awk" >"$work/test.csv"
lcp evaluate "$work/whole" --data "csv:$work/train.csv,$work/test.csv,label=state" --missing 0 | head -n 2
lcp train "$work/whole" --branches 2 --data "csv:$work/train.csv,$work/test.csv,label=state" --teacher "$work/whole" \
    --set distillation=0.5 --epochs 10 --out "$work/room"

echo "== predicting: a sensor publishes on zigbee2mqtt/living, and Home Assistant finds what comes of it"
pipeline "$work/room" 2 --homeassistant
sensor living zigbee2mqtt/living --fields light=illuminance
start mosquitto_sub -p "$port" -t 'homeassistant/#' -F '%t' >"$work/discovered"
awk -v seed=3 -v days=2 -v json=1 -v every=30 -f "$here/generate.awk" >"$work/live.json"
publish "$work/live.json" 0.25 "$seconds"
sed 's/.*"label":"\([^"]*\)","confidence":\([0-9.]*\).*/  \1  \2/' "$work/predictions"
echo "== Home Assistant is told of"
sort -u "$work/discovered" | sed 's/^/  /'
