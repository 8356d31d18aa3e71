#!/bin/sh
# A cluster of RabbitMQ nodes on this machine.
#   cluster.sh start [N] [--port 1883] [--bind ADDRESS] [--nodes 3] [--data FOLDER]
#   cluster.sh kill N | stop | status [--data FOLDER]
# start returns when all nodes take clients, and prints their addresses; stop ends all and removes FOLDER, which is data/ beside this
# script by default. kill ends one node at once, as a power cut does, and start N brings it back. Node N takes clients on the port
# N - 1 above the first; the nodes talk to each other on as many ports again and one more above those, on this machine only.
# Debian's rabbitmq-server is used, or unpacked into a cache without being installed.
set -eu

fail() { echo "cluster.sh: $*" >&2; exit 1; }
usage() { sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p;}' "$0"; }

here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/../data-folder.sh"
data=$(data_folder "$here")
port=1883 bind=0.0.0.0 nodes=3 verb= which=
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage; exit 0 ;;
        --port | --bind | --nodes | --data) [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value" ;;
    esac
    case "$1" in
        --port) port=$2; shift ;;
        --bind) bind=$2; shift ;;
        --nodes) nodes=$2; shift ;;
        --data) data=$2; shift ;;
        start | stop | status | kill | install) [ -z "$verb" ] || fail "$verb or $1?"; verb=$1 ;;
        [1-9]) which=$1 ;;
        *) fail "unknown argument $1: see cluster.sh --help" ;;
    esac
    shift
done
[ -n "$verb" ] || { usage >&2; exit 64; }
case "$port" in '' | *[!0-9]* | ??????*) fail "$port is no port: use 1 to 65500" ;; esac
[ "$port" -ge 1 ] && [ "$port" -le 65500 ] || fail "$port is no port: use 1 to 65500"
case "$nodes" in [1-9]) ;; *) fail "$nodes nodes: use 1 to 9, and an odd number, because more than half have to be there" ;; esac
case "$bind" in *[!A-Za-z0-9.:-]*) fail "$bind is no address" ;; esac

# Where RabbitMQ is: RABBITMQ_HOME, and Erlang in PATH.
find_rabbitmq() {
    cache=${LCP_BROKERS:-${XDG_CACHE_HOME:-${HOME:-/var/cache}/.cache}/lcp/brokers}/rabbitmq
    for folder in /usr/lib/rabbitmq/lib/rabbitmq_server-*; do
        [ -d "$folder" ] && command -v erl >/dev/null 2>&1 && RABBITMQ_HOME=$folder && return
    done
    [ -e "$cache/complete" ] || unpack
    PATH=$cache/usr/lib/erlang/bin:$PATH
    export LD_LIBRARY_PATH="$(echo "$cache"/usr/lib/*-linux-gnu)"
    RABBITMQ_HOME=$(echo "$cache"/usr/lib/rabbitmq/lib/rabbitmq_server-*)
}

# Debian's packages, unpacked: nothing of the system changes, and nobody has to be root. Exit status 77: not here.
unpack() {
    missing() { echo "cluster.sh: RabbitMQ cannot be installed here: $*" >&2; rm -rf "$cache.new"; exit 77; }
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || missing "this system has no apt"
    packages=$(apt-get install -s --no-install-recommends rabbitmq-server 2>/dev/null | sed -n 's/^Inst \([^ ]*\).*/\1/p')
    [ -n "$packages" ] || missing "apt knows no rabbitmq-server: run apt-get update"
    echo "cluster.sh: unpacking RabbitMQ into $cache" >&2
    rm -rf "$cache" "$cache.new"
    mkdir -p "$cache.new/packages" 2>/dev/null || missing "the folder $cache.new cannot be made"
    (cd "$cache.new/packages" && apt-get download -q $packages >../apt.log 2>&1) ||
        missing "apt could not: $(grep '^E:' "$cache.new/apt.log" | head -n 1)"
    for package in "$cache.new/packages"/*.deb; do
        dpkg-deb -x "$package" "$cache.new" || missing "$package cannot be unpacked: is the disk full?"
    done
    rm -rf "$cache.new/packages"
    sed -i "s#/usr/lib/erlang#$cache/usr/lib/erlang#g" "$cache.new/usr/lib/erlang/bin/erl"
    touch "$cache.new/complete"
    mv "$cache.new" "$cache"
}

is_alive() { [ -s "$data/$1.pid" ] && kill -0 "$(cat "$data/$1.pid")" 2>/dev/null; }
name() { echo "lcp$1@localhost"; }
client_port() { echo $((port + $1 - 1)); }

# The addresses as --broker takes them.
addresses() {
    host=$bind
    case "$bind" in 0.0.0.0 | ::) host=$(hostname) ;; *:*) host="[$bind]" ;; esac
    list= node=1
    while [ "$node" -le "$nodes" ]; do
        list="$list${list:+,}$host:$(client_port "$node")"
        node=$((node + 1))
    done
    echo "mqtt://$list"
}

write_configuration() {
    {
        printf 'mqtt.listeners.tcp.1 = %s:%s\n' "$bind" "$(client_port "$1")"
        # A pipeline's messages are small and many, and workers and aggregators acknowledge them at once.
        printf 'mqtt.allow_anonymous = true\nmqtt.prefetch = 1000\nlisteners.tcp = none\n'
        # Who is cut off from the others stops, and his clients go to those.
        printf 'cluster_partition_handling = pause_minority\nnet_ticktime = 10\nvm_memory_high_watermark.relative = 0.2\n'
        printf 'cluster_formation.peer_discovery_backend = classic_config\n'
        other=1
        while [ "$other" -le "$nodes" ]; do
            printf 'cluster_formation.classic_config.nodes.%s = %s\n' "$other" "$(name "$other")"
            other=$((other + 1))
        done
    } >"$data/$1.conf"
}

# Runs a command for a node, in place of this (sub)shell.
exec_for() {
    export RABBITMQ_NODENAME="$(name "$1")" RABBITMQ_CONFIG_FILE="$data/$1" RABBITMQ_MNESIA_BASE="$data/$1.data" \
        RABBITMQ_LOG_BASE="$data" RABBITMQ_LOGS=- RABBITMQ_ENABLED_PLUGINS_FILE="$data/plugins" \
        RABBITMQ_CONF_ENV_FILE="$data/environment" RABBITMQ_DIST_PORT=$((port + nodes + $1))
    shift
    exec "$@"
}

# A group of processes of its own, which Ctrl-C does not reach, and which is ended as one.
launch() {
    : >"$data/$1.log"
    (exec_for "$1" setsid "$RABBITMQ_HOME/sbin/rabbitmq-server") >"$data/$1.log" 2>&1 </dev/null &
    echo $! >"$data/$1.pid"
}

# Why a node did not start, from its log.
reason() {
    if grep -q -a -i -e "in use" -e eaddrinuse "$data/$1.log"; then
        echo "one of the ports $port to $((port + 2 * nodes)) is in use: choose others with --port"
    else
        grep -a -o -i -m 1 "error: .*" "$data/$1.log" || grep -a -v '^$' "$data/$1.log" | tail -n 1
    fi
}

await() {
    tries=0
    until grep -q "Server startup complete" "$data/$1.log"; do
        is_alive "$1" || fail "node $1 did not start: $(reason "$1")"
        tries=$((tries + 1))
        [ "$tries" -ne 300 ] ||
            echo "cluster.sh: node $1 waits; where others are gone, it waits for the one that went last: start that, too" >&2
        [ "$tries" -lt 1200 ] || fail "node $1 has not started in two minutes: $(tail -n 1 "$data/$1.log")"
        sleep 0.1
    done
}

# Ends a node, with a signal to all of its processes, and waits for it; by force where it does not end.
end() {
    is_alive "$1" || { rm -f "$data/$1.pid"; return 0; }
    group=$(cat "$data/$1.pid")
    kill "-$2" "-$group" 2>/dev/null || true
    tries=0
    while kill -0 "-$group" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -ne 200 ] || kill -KILL "-$group" 2>/dev/null || true
        sleep 0.1
    done
    rm -f "$data/$1.pid"
}

end_all() {
    for node in $(seq "$nodes"); do
        is_alive "$node" && kill -TERM "-$(cat "$data/$node.pid")" 2>/dev/null || true
    done
    for node in $(seq "$nodes"); do end "$node" TERM; done
    if is_alive epmd; then kill "$(cat "$data/epmd.pid")" 2>/dev/null || true; fi
    rm -rf "$data"
}

remember() { printf 'port=%s\nbind=%s\nnodes=%s\n' "$port" "$bind" "$nodes" >"$data/cluster"; }
recall() { [ -e "$data/cluster" ] || fail "there is no cluster in $data: cluster.sh start"; . "$data/cluster"; }

prepare() {
    data=$(cd "$data" && pwd -P)
    export RABBITMQ_HOME PATH HOME="$data" ERL_EPMD_PORT=$((port + nodes)) ERL_EPMD_ADDRESS=127.0.0.1 \
        ERL_CRASH_DUMP="$data/erl_crash.dump" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
}

case $verb in
    install) find_rabbitmq ;;
    start)
        find_rabbitmq
        if [ -n "$which" ]; then
            recall
            [ "$which" -le "$nodes" ] || fail "there are $nodes nodes, and no node $which"
            is_alive "$which" && fail "node $which is there already"
            prepare
            launch "$which"
            await "$which"
            exit 0
        fi
        [ ! -e "$data/cluster" ] || fail "a cluster was started in $data: end it with cluster.sh stop"
        mkdir -p "$data" 2>/dev/null && [ -w "$data" ] || fail "cannot make or write the folder $data"
        prepare
        trap 'end_all; exit 1' INT TERM HUP
        trap '[ $? = 0 ] || end_all' EXIT
        remember
        echo "*" >"$data/.gitignore"
        printf '[rabbitmq_mqtt].' >"$data/plugins"
        : >"$data/environment"
        (umask 277 && tr -dc A-Z </dev/urandom | head -c 32 >"$data/.erlang.cookie")
        epmd=$(command -v epmd || echo "$(dirname "$(command -v erl)")"/../erts-*/bin/epmd)
        # shellcheck disable=SC2086
        setsid $epmd >"$data/epmd.log" 2>&1 </dev/null &
        echo $! >"$data/epmd.pid"
        # One after the other: the first founds the cluster, the others join it.
        for node in $(seq "$nodes"); do
            write_configuration "$node"
            launch "$node"
            await "$node"
        done
        # What waits for a client at QoS 1 would lie on one node only, which would keep it from the others when it is gone.
        (exec_for 1 "$RABBITMQ_HOME/sbin/rabbitmqctl" -q set_policy lcp '^mqtt-subscription-.*qos1$' \
            '{"ha-mode":"exactly","ha-params":2,"ha-sync-mode":"automatic"}' --apply-to queues >"$data/policy.log" 2>&1) ||
            fail "the policy for queues was refused: $(tail -n 1 "$data/policy.log")"
        running=$(exec_for 1 "$RABBITMQ_HOME/sbin/rabbitmqctl" -q eval 'length(rabbit_nodes:all_running()).' 2>/dev/null) || running=0
        [ "$running" = "$nodes" ] || fail "$running of $nodes nodes found each other: see the logs in $data"
        addresses ;;
    kill)
        [ -n "$which" ] || fail "which node? write cluster.sh kill 2"
        recall
        [ "$which" -le "$nodes" ] || fail "there are $nodes nodes, and no node $which"
        is_alive "$which" || fail "node $which is not running"
        end "$which" KILL ;;
    stop)
        recall
        end_all ;;
    status)
        recall
        for node in $(seq "$nodes"); do
            printf 'node %s  port %s  %s\n' "$node" "$(client_port "$node")" "$(is_alive "$node" && echo runs || echo "is gone")"
        done
        addresses ;;
esac
