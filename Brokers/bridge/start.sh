#!/bin/sh
# Starts one of two brokers that share a pipeline by sensor, in the foreground.
#   start.sh --pipeline NAME --other HOST[:PORT] [--port 1883] [--bind ADDRESS] [--prefix lcp] [--data FOLDER]
# Only one of the two is started by this, the other is any mosquitto, for example Brokers/local. FOLDER keeps the model and
# what is yet to be passed on through a restart; it is data/ beside this script by default.
set -eu

fail() { echo "start.sh: $*" >&2; exit 1; }

here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/../data-folder.sh"
data=$(data_folder "$here")
port=1883
bind=0.0.0.0
prefix=lcp
pipeline=
other=
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p;}' "$0"; exit 0 ;;
        --pipeline | --other | --port | --bind | --prefix | --data) [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value" ;;
        *) fail "unknown argument $1: see start.sh --help" ;;
    esac
    case "$1" in
        --pipeline) pipeline=$2 ;;
        --other) other=$2 ;;
        --port) port=$2 ;;
        --bind) bind=$2 ;;
        --prefix) prefix=$2 ;;
        --data) data=$2 ;;
    esac
    shift 2
done
[ -n "$pipeline" ] || fail "--pipeline is missing: name the pipeline that the brokers share"
[ -n "$other" ] || fail "--other is missing: give the other broker's HOST or HOST:PORT"
for name in "$pipeline" "$prefix"; do
    case "$name" in *[!A-Za-z0-9._-]*) fail "$name cannot be used here: letters, digits, points, _ and - can" ;; esac
done
case "$other" in *[!A-Za-z0-9.:_-]* | :* | *:) fail "$other is no HOST or HOST:PORT" ;; esac
case "$other" in *:*) ;; *) other=$other:1883 ;; esac
case "$bind" in *[!A-Za-z0-9.:_-]*) fail "$bind is no address" ;; esac
for number in "$port" "${other##*:}"; do
    case "$number" in '' | *[!0-9]* | ??????*) fail "$number is no port: use 1 to 65535" ;; esac
    [ "$number" -ge 1 ] && [ "$number" -le 65535 ] || fail "$number is no port: use 1 to 65535"
done

# Debian keeps mosquitto in /usr/sbin, which is often not in an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin
command -v mosquitto >/dev/null 2>&1 || fail "mosquitto is not installed; on Debian: sudo apt-get install mosquitto"
mkdir -p "$data" 2>/dev/null && data=$(cd "$data" 2>/dev/null && pwd -P) && [ -w "$data" ] ||
    fail "cannot make or write the folder $data"
case "$data" in *"
"*) fail "the folder's path must not contain a line break" ;; esac

[ -e "$data/.gitignore" ] || echo "*" >"$data/.gitignore"
sed -e "s|@PORT@|$port|g" -e "s|@BIND@|$bind|g" -e "s|@OTHER@|$other|g" -e "s|@ROOT@|$prefix/$pipeline|g" \
    -e "s|@NAME@|$prefix-$pipeline|g" -e "s|@USER@|$(id -un)|g" -e "s|@DATA@|$data|g" \
    "$here/mosquitto.conf.in" >"$data/mosquitto.conf" || fail "cannot write $data/mosquitto.conf"
exec mosquitto -c "$data/mosquitto.conf"
