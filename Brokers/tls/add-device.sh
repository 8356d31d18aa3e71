#!/bin/sh
# Makes a user of its own for one device, which can speak for itself alone, or shuts one out.
#   add-device.sh NAME [--role worker|sensor|aggregator]... [--data FOLDER]
#   add-device.sh --remove NAME [--data FOLDER]
# NAME is the user, and the --name of the device's roles; without --role it may be a worker. The password is written to
# FOLDER/passwords/NAME, the rights to FOLDER/acl; FOLDER is data/ beside this script by default. A broker that runs
# takes the change at once. --remove takes password and rights away, ends a connection that the device has when the broker
# starts again, and revokes its certificate.
set -eu
umask 077

fail() { echo "add-device.sh: $*" >&2; exit 1; }

here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/../data-folder.sh"
data=$(data_folder "$here")
name=
roles=
remove=
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p;}' "$0"; exit 0 ;;
        --remove) remove=yes; shift ;;
        --role | --data)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value"
            case "$1:$2" in
                --role:worker | --role:sensor | --role:aggregator) roles="$roles $2" ;;
                --role:*) fail "--role is worker, sensor or aggregator, not $2" ;;
                *) data=$2 ;;
            esac
            shift 2 ;;
        -*) fail "unknown argument $1: see add-device.sh --help" ;;
        *)
            [ -z "$name" ] || fail "one name at a time, please"
            name=$1
            shift ;;
    esac
done
[ -n "$name" ] || fail "which device? add-device.sh NAME"
case "$name" in *[!A-Za-z0-9._-]* | .*) fail "a name has only letters, digits, dots, - and _" ;; esac
[ ${#name} -le 64 ] || fail "a name has at most 64 letters"
case " sensor worker aggregator viewer homeassistant operator " in *" $name "*) fail "$name is a user that every broker has: a device needs another name" ;; esac
[ -w "$data/acl" ] && [ -w "$data/passwords" ] || fail "there is no broker's folder in $data that you may write: run start.sh first"
PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin
command -v mosquitto_passwd >/dev/null 2>&1 || fail "mosquitto_passwd is not installed; on Debian: sudo apt-get install mosquitto"

new=$data/.new-$name
mkdir -p "$new"
trap 'rm -rf "$new"' EXIT

# The files keep their owner, group and permissions, because they are written in place.
replace() { cat "$1" >"$2"; }
# A broker that runs reads users, rights and revoked certificates anew.
reload() {
    [ -s "$data/mosquitto.pid" ] || return 0
    broker=$(cat "$data/mosquitto.pid")
    # The number may be another program's by now.
    case "$(ps -p "$broker" -o comm= 2>/dev/null)" in *mosquitto*) kill -HUP "$broker" || true ;; esac
}
# The rights without those of the device. They stand between two lines with its name.
others() { sed "/^# device $1\$/,/^# end of device $1\$/d" "$data/acl"; }
# As a pattern for sed, where a dot stands for itself.
pattern=$(printf '%s' "$name" | sed 's/\./\\./g')

if [ -n "$remove" ]; then
    [ -z "$roles" ] || fail "--remove takes no role"
    [ -e "$data/passwords/$name" ] || fail "there is no device $name in $data"
    rm -f "$data/passwords/$name"
    others "$pattern" >"$new/acl"
    replace "$new/acl" "$data/acl"
    if [ -e "$data/passwd" ]; then
        grep -v "^$pattern:" "$data/passwd" >"$new/passwd" || true
        replace "$new/passwd" "$data/passwd"
    fi
    if [ -e "$data/clients/$name.crt" ]; then "$here/client-certificate.sh" --revoke "$name" --data "$data"; fi
    reload
    echo "$name is shut out; start the broker again to end a connection that it still has"
    exit 0
fi

[ ! -e "$data/passwords/$name" ] || fail "there is a user $name already: remove it first with --remove"
: "${roles:=worker}"

# A role's rights are those of the user of that name, with the device's name where the role's own stands.
{
    others "$pattern"
    echo "# device $name"
    echo "user $name"
    for role in $roles; do
        case "$role" in
            worker) own="status/worker stats/worker task probe" ;;
            sensor) own="status/sensor stats/sensor input lane/+ again prediction unanswered answered snapshot" ;;
            aggregator) own="status/aggregator stats/aggregator group" ;;
        esac
        sed -n "/^user $role\$/,/^user /{/^topic/p;}" "$here/acl" >"$new/rights"
        for topic in $own; do
            sed "s|\(lcp/+/$topic\)/+\(/get\)\{0,1\}\$|\1/$name\2|" "$new/rights" >"$new/rights.own"
            mv "$new/rights.own" "$new/rights"
        done
        cat "$new/rights"
    done
    echo "# end of device $name"
} >"$new/acl"
openssl rand -hex 24 >"$new/password"
printf '%s:%s\n' "$name" "$(cat "$new/password")" >"$new/passwd"
mosquitto_passwd -U "$new/passwd" >"$new/log" 2>&1 || { cat "$new/log" >&2; fail "mosquitto_passwd failed, see above"; }
mv "$new/password" "$data/passwords/$name"
if [ -e "$data/passwd" ]; then
    cat "$data/passwd" "$new/passwd" >"$new/all"
    replace "$new/all" "$data/passwd"
fi
replace "$new/acl" "$data/acl"
reload
echo "$data/passwords/$name"
