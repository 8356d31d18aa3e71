#!/bin/bash
# Runs another broker than mosquitto, installed into a cache and nowhere else, until it is asked to end.
#   other-broker.sh rabbitmq|amqtt PORT FOLDER [--install]
# FOLDER is for its files. With --install it only fetches what it needs. Exit status 77: it cannot be installed here.
set -eu

name=$1 port=$2 folder=$3
cache=${LCP_TEST_BROKERS:-$(cd "$(dirname "$0")/../.." && pwd)/.build/brokers}
missing() { echo "$name cannot be installed here: $*" >&2; exit 77; }
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

# Debian's packages, unpacked: nothing of the system changes, and nobody has to be root.
install_rabbitmq() {
    [ -e "$cache/rabbitmq/complete" ] && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || missing "this system has no apt"
    packages=$(apt-get install -s --no-install-recommends rabbitmq-server 2>/dev/null | sed -n 's/^Inst \([^ ]*\).*/\1/p')
    [ -n "$packages" ] || missing "apt knows no rabbitmq-server, or it is installed: run apt-get update"
    rm -rf "$cache/rabbitmq"
    mkdir -p "$cache/rabbitmq/packages"
    (cd "$cache/rabbitmq/packages" && apt-get download -q $packages >"$folder/apt.log" 2>&1) ||
        missing "apt could not: $(grep '^E:' "$folder/apt.log" | head -n 1)"
    for package in "$cache/rabbitmq/packages"/*.deb; do dpkg-deb -x "$package" "$cache/rabbitmq"; done
    rm -rf "$cache/rabbitmq/packages"
    sed -i "s#/usr/lib/erlang#$cache/rabbitmq/usr/lib/erlang#g" "$cache/rabbitmq/usr/lib/erlang/bin/erl"
    touch "$cache/rabbitmq/complete"
}

case $name in
    amqtt) install_amqtt ;;
    rabbitmq) install_rabbitmq ;;
    *) echo "usage: $0 rabbitmq|amqtt PORT FOLDER [--install]" >&2; exit 64 ;;
esac
[ "${4:-}" = --install ] && exit

cd "$folder"
set -m
children=
trap 'for child in $children; do kill -KILL -- "-$child" 2>/dev/null || true; done' EXIT
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
        root=$cache/rabbitmq
        erts=$(echo "$root"/usr/lib/erlang/erts-*)/bin
        printf '[rabbitmq_mqtt].' >plugins
        : >environment
        # What RabbitMQ needs besides the port for MQTT are free ones; epmd finds nodes by their names.
        free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
        amqp=$(free) distribution=$(free) ERL_EPMD_PORT=$(free) ERL_EPMD_ADDRESS=127.0.0.1
        printf 'mqtt.listeners.tcp.1 = 127.0.0.1:%s\nmqtt.allow_anonymous = true\nlisteners.tcp.1 = 127.0.0.1:%s\n' \
            "$port" "$amqp" >rabbitmq.conf
        export ERL_EPMD_PORT ERL_EPMD_ADDRESS HOME="$folder" PATH="$root/usr/lib/erlang/bin:$erts:$PATH"
        export LD_LIBRARY_PATH="$(echo "$root"/usr/lib/*-linux-gnu)"
        export RABBITMQ_HOME="$(echo "$root"/usr/lib/rabbitmq/lib/rabbitmq_server-*)" RABBITMQ_NODENAME="lcp$port@localhost" \
            RABBITMQ_MNESIA_BASE="$folder/data" RABBITMQ_LOG_BASE="$folder" RABBITMQ_LOGS=- RABBITMQ_CONFIG_FILE="$folder/rabbitmq" \
            RABBITMQ_ENABLED_PLUGINS_FILE="$folder/plugins" RABBITMQ_CONF_ENV_FILE="$folder/environment" \
            RABBITMQ_NODE_PORT="$amqp" RABBITMQ_DIST_PORT="$distribution"
        "$erts/epmd" &
        children=$!
        "$RABBITMQ_HOME/sbin/rabbitmq-server" &
        children="$children $!" ;;
esac
wait $!
