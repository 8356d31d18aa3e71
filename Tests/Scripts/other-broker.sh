#!/bin/bash
# Runs another broker than mosquitto, installed into a cache and nowhere else, until it is asked to end.
#   other-broker.sh rabbitmq|amqtt PORT FOLDER [--install]
# FOLDER is for its files, and is gone when it ends. With --install it only fetches what it needs. Exit status 77: it cannot be installed here.
set -eu

name=$1 port=$2 folder=$3
cluster=$(cd "$(dirname "$0")/../.." && pwd)/Brokers/rabbitmq/cluster.sh
cache=${LCP_BROKERS:-$(cd "$(dirname "$0")/../.." && pwd)/.build/brokers}
missing() { echo "$name cannot be installed here: $*" >&2; rm -rf "$folder"; exit 77; }
mkdir -p "$cache" "$folder"

install_amqtt() {
    [ -x "$cache/amqtt/bin/amqtt" ] && return
    command -v python3 >/dev/null || missing "there is no python3"
    rm -rf "$cache/amqtt.new" "$cache/amqtt"
    # Scripts in a virtual environment name its folder, so it is made where it stays.
    python3 -m venv --without-pip "$cache/amqtt" 2>/dev/null || missing "python3 has no venv"
    python3 -m pip --version >/dev/null 2>&1 || missing "python3 has no pip"
    python3 -m pip --python "$cache/amqtt/bin/python3" install -q --disable-pip-version-check amqtt==0.12.1 \
        >"$folder/pip.log" 2>&1 || { rm -rf "$cache/amqtt"; missing "pip could not: $(tail -n 1 "$folder/pip.log")"; }
}

case $name in
    amqtt) install_amqtt ;;
    rabbitmq) LCP_BROKERS=$cache "$cluster" install || exit $? ;;
    *) echo "usage: $0 rabbitmq|amqtt PORT FOLDER [--install]" >&2; exit 64 ;;
esac
[ "${4:-}" != --install ] || { rm -rf "$folder"; exit; }

cd "$folder"
set -m
children=
end() {
    for child in $children; do kill -KILL -- "-$child" 2>/dev/null || true; done
    [ ! -e "$folder/rabbitmq" ] || LCP_BROKERS=$cache "$cluster" stop --data "$folder/rabbitmq"
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 0' TERM INT
case $name in
    amqtt)
        cat >amqtt.yaml <<END
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:$port
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
END
        "$cache/amqtt/bin/amqtt" -c amqtt.yaml &
        children=$! ;;
    rabbitmq)
        # One node, which runs in the background.
        LCP_BROKERS=$cache "$cluster" start --nodes 1 --port "$port" --bind 127.0.0.1 --data "$folder/rabbitmq"
        sleep infinity &
        children=$! ;;
esac
wait $!
