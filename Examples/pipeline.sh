# For the examples beside this file: the program, a broker of their own and its pipeline, and nothing left behind.
# begin NAME; start COMMAND…; pipeline MODEL BRANCHES; sensor NAME TOPIC; publish FILE PAUSE SECONDS. The folder for files is $work, the broker's port $port.

begin() {
    example=$1
    port=${PORT:-18830}
    here=$(cd "$(dirname "$0")" && pwd)
    PATH=$PATH:$here/../../.build/release
    for program in lcp awk mosquitto mosquitto_pub mosquitto_sub; do
        command -v "$program" >/dev/null 2>&1 && continue
        echo "$example: $program is not there: make build builds lcp, sudo apt-get install mosquitto mosquitto-clients the others" >&2
        exit 1
    done
    work=$(mktemp -d)
    children=
    trap 'kill $children 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    export LCP_BROKER="mqtt://localhost:$port" LCP_PIPELINE="$example"
}

# Starts a process that ends with the example.
start() {
    "$@" &
    children="$children $!"
}

# Waits until a file has a line with a word.
await() {
    tries=0
    while ! grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries + 1))
        for child in $children; do kill -0 "$child" 2>/dev/null || tries=300; done
        [ $tries -lt 300 ] || { echo "$example: not everything could be started:" >&2; tail -n 3 "$work"/*.log >&2; exit 1; }
        sleep 0.2
    done
}

# A broker, a worker for each branch and an aggregator, with what else is given for that.
pipeline() {
    model=$1 branches=$2
    shift 2
    start lcp broker --port "$port" --memory-only >"$work/broker.log" 2>&1
    await "$work/broker.log" listens
    start lcp aggregator --model "$model" "$@" >"$work/aggregator.log" 2>&1
    for branch in $(seq 0 $((branches - 1))); do
        start lcp worker --model "$model" --branch "$branch" >"$work/worker-$branch.log" 2>&1
    done
    await "$work/aggregator.log" ready
    for branch in $(seq 0 $((branches - 1))); do await "$work/worker-$branch.log" ready; done
}

# A sensor of a name on an MQTT topic, with what else is given for it, and its predictions in a file.
sensor() {
    name=$1 topic=$2
    shift 2
    start lcp sensor --model "$model" --source "json:mqtt:$topic" --name "$name" "$@" >"$work/sensor.log" 2>&1
    await "$work/sensor.log" ready
    start mosquitto_sub -p "$port" -t "lcp/$example/prediction/$name" -F '%p' >"$work/predictions"
}

# Publishes the lines of a file for the sensor, with a pause behind each, for so many seconds.
publish() {
    while read -r line; do
        echo "$line"
        sleep "$2"
    done <"$1" | mosquitto_pub -p "$port" -t "$topic" -l &
    children="$children $!"
    sleep "$3"
    [ -s "$work/predictions" ] || { echo "$example: no prediction came" >&2; exit 1; }
}
