#!/bin/sh
# Tests Brokers/tls with mosquitto's own clients: starts a broker on a free port and checks users, rights and
# certificates.
#   Tests/Scripts/test-broker-tls.sh        exits 0 if everything is as it should be
set -u
umask 077

original=$(cd "$(dirname "$0")/../../Brokers/tls" && pwd -P)
work=$(mktemp -d)
data=$work/data
tls=$work/tls
broker=
port=
failures=0
PATH=$PATH:/usr/sbin:/usr/local/sbin

cleanup() {
    [ -z "$broker" ] || { kill "$broker" && wait "$broker"; } 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

good() { echo "ok    $*"; }
bad() { echo "WRONG $*"; failures=$((failures + 1)); }
# check WHAT COMMAND…: the command must succeed; refuse WHAT COMMAND…: it must fail.
check() { what=$1; shift; if "$@" >"$work/out" 2>&1; then good "$what"; else bad "$what"; cat "$work/out"; fi; }
refuse() { what=$1; shift; if "$@" >"$work/out" 2>&1; then bad "$what"; cat "$work/out"; else good "$what"; fi; }

# Started by root, mosquitto becomes another user, who must be able to reach the folder.
chmod 711 "$work"

# A copy of the scripts, with a broker that logs everything.
mkdir "$tls"
cp "$original"/*.sh "$original/acl" "$original/mosquitto.conf.in" "$tls"
cp "$original/../data-folder.sh" "$work"
echo "log_type all" >>"$tls/mosquitto.conf.in"

# start ARGUMENTS…: starts the broker and waits until it accepts connections.
start() {
    "$tls/start.sh" --data "$data" "$@" 2>"$work/broker.log" &
    broker=$!
    tries=0
    while [ $tries -lt 100 ] && kill -0 "$broker" 2>/dev/null; do
        mosquitto_pub --cafile "$data/ca.crt" -h localhost -p "$port" -u operator -P "$(password operator)" \
            -t lcp/test/ready -n $certificate 2>/dev/null && return 0
        sleep 0.1
        tries=$((tries + 1))
    done
    return 1
}
stop() { kill "$broker"; wait "$broker" 2>/dev/null; broker=; }
certificate=

password() { cat "$data/passwords/$1" 2>/dev/null || echo none; }
# as USER PROGRAM ARGUMENTS…: mosquitto_pub or mosquitto_sub with that user's password.
as() {
    user=$1
    program=$2
    shift 2
    "$program" -V 5 --cafile "$data/ca.crt" -h localhost -p "$port" -u "$user" -P "$(password "$user")" "$@"
}

# delivered WRITER TOPIC READER FILTER: whether what WRITER publishes on TOPIC reaches READER, who subscribes to FILTER.
# The broker's log tells when the subscription stands. At QoS 1 the publisher returns after the broker has decided.
count=0
delivered() {
    count=$((count + 1))
    # Not through "as": the process to end would be a shell, and the reader itself would go on.
    mosquitto_sub -V 5 --cafile "$data/ca.crt" -h localhost -p "$port" -u "$3" -P "$(password "$3")" \
        -i "reader-$count" -C 1 -W 5 -q 1 -t "$4" -F 'got %t' >"$work/sub" 2>&1 &
    subscriber=$!
    subscribed=no
    tries=0
    while [ $tries -lt 100 ]; do
        grep -q "Sending SUBACK to reader-$count\$" "$work/broker.log" && { subscribed=yes; break; }
        sleep 0.05
        tries=$((tries + 1))
    done
    as "$1" mosquitto_pub -q 1 -t "$2" -m hello
    [ "${5:-}" = forbidden ] && { sleep 0.3; kill "$subscriber" 2>/dev/null; }
    wait "$subscriber" 2>/dev/null
    grep -q "got $2\$" "$work/sub"
}
may() { check "$1 → $3: $2 through $4" delivered "$1" "$2" "$3" "$4"; }
may_not() {
    what="$1 → $3: $2 through $4 is stopped"
    if delivered "$1" "$2" "$3" "$4" forbidden >"$work/out" 2>&1; then bad "$what"
    elif [ $subscribed = yes ]; then good "$what"
    else bad "$what: the subscriber never subscribed"; cat "$work/sub"; fi
}

for program in mosquitto mosquitto_pub mosquitto_sub mosquitto_passwd openssl; do
    command -v "$program" >/dev/null 2>&1 || { echo "test-broker-tls: $program is not installed" >&2; exit 1; }
done

# A free port: the first that start.sh does not refuse.
for attempt in 1 2 3 4 5; do
    port=$((20000 + ($$ * 7 + attempt * 1009) % 12000))
    start --port $port --host broker.example --host 192.0.2.7 && break
    grep -q 'in use' "$work/broker.log" || { cat "$work/broker.log"; echo "WRONG the broker does not start"; exit 1; }
    port=
done
[ -n "$port" ] || { echo "WRONG found no free port"; exit 1; }
good "the broker starts on port $port"

# Files.
check "the authority's key is its owner's alone" test "$(ls -l "$data/ca.key" | cut -c1-10)" = -rw-------
check "the passwords are their owner's alone" test "$(ls -ld "$data/passwords" | cut -c1-10)" = drwx------
check "others may not enter the folder" test "$(ls -ld "$data" | cut -c8-10)" = ---
refuse "no password stands in passwd" grep -qF "$(password worker)" "$data/passwd"
for name in localhost broker.example; do
    openssl x509 -in "$data/server.crt" -noout -checkhost $name >"$work/name"
    check "the certificate is for $name" grep -q 'does match' "$work/name"
done
for address in 127.0.0.1 ::1 192.0.2.7; do
    openssl x509 -in "$data/server.crt" -noout -checkip $address >"$work/name"
    check "the certificate is for $address" grep -q 'does match' "$work/name"
done

# Who is let in.
check "the right password" as worker mosquitto_pub -t lcp/p/stats/worker/w -n
refuse "a wrong password" mosquitto_pub --cafile "$data/ca.crt" -h localhost -p $port -u worker -P wrong -t lcp/x -n
refuse "no password" mosquitto_pub --cafile "$data/ca.crt" -h localhost -p $port -t lcp/x -n
refuse "a client without this authority" \
    mosquitto_pub --capath /nonexistent -h localhost -p $port -u worker -P "$(password worker)" -t lcp/x -n
refuse "a host name that the certificate lacks" \
    mosquitto_pub --cafile "$data/ca.crt" -h 127.0.0.2 -p $port -u worker -P "$(password worker)" -t lcp/x -n
refuse "no TLS" mosquitto_pub -h localhost -p $port -u worker -P "$(password worker)" -t lcp/x -n

# handshake OPTION…: whether the broker agrees to this version of TLS.
handshake() { openssl s_client -connect localhost:$port -CAfile "$data/ca.crt" -verify_return_error "$@" </dev/null; }
check "TLS 1.2" handshake -tls1_2
check "TLS 1.3" handshake -tls1_3
refuse "TLS 1.1" handshake -tls1_1 -cipher DEFAULT:@SECLEVEL=0

# Rights: what each user needs, and what it must not do.
may sensor lcp/p/input/cam worker 'lcp/p/input/+'
may sensor lcp/p/input/cam worker '$share/branch-0-of-4/lcp/p/input/+'
may sensor lcp/p/status/sensor/cam viewer 'lcp/p/status/+/+'
may sensor lcp/p/stats/sensor/cam viewer 'lcp/#'
may worker lcp/p/features/0/cam aggregator 'lcp/p/features/+/+'
may worker lcp/p/features/17/0/cam aggregator 'lcp/p/features/17/+/+'
may aggregator lcp/p/group/a aggregator 'lcp/p/group/+'
may_not worker lcp/p/group/a operator 'lcp/#'
may worker lcp/p/status/worker/w viewer 'lcp/#'
may worker lcp/p/stats/worker/w viewer 'lcp/#'
may aggregator lcp/p/prediction/cam viewer 'lcp/p/prediction/+'
may aggregator lcp/p/status/aggregator/a viewer 'lcp/#'
may aggregator lcp/p/stats/aggregator/a viewer 'lcp/#'
may operator lcp/p/model/manifest operator 'lcp/p/model/#'
may operator lcp/p/model/manifest worker 'lcp/p/model/#'
may worker lcp/p/model/manifest aggregator 'lcp/p/model/#'
may worker lcp/p/status/worker/w worker 'lcp/p/status/+/+'

may_not sensor lcp/p/prediction/cam operator 'lcp/#'
may_not sensor lcp/p/features/0/cam operator 'lcp/#'
may_not sensor lcp/p/status/worker/w operator 'lcp/#'
may_not worker lcp/p/input/cam operator 'lcp/#'
may_not worker lcp/p/prediction/cam operator 'lcp/#'
may_not aggregator lcp/p/input/cam operator 'lcp/#'
may_not aggregator lcp/p/features/0/cam operator 'lcp/#'
may_not viewer lcp/p/prediction/cam operator 'lcp/#'
may_not operator other/topic operator 'other/#'
may_not operator lcp/p/input/cam sensor 'lcp/#'
may_not operator lcp/p/input/cam sensor '$share/branch-0-of-4/lcp/p/input/+'
may_not operator lcp/p/prediction/cam worker '$share/all/lcp/#'

# The table of README.md, cell by cell: devices with users of their own, and people.
check "a worker of its own" "$tls/add-device.sh" pi-1 --data "$data"
check "another" "$tls/add-device.sh" pi-2 --role worker --data "$data"
check "a sensor of its own" "$tls/add-device.sh" door --role sensor --data "$data"
check "an aggregator of its own" "$tls/add-device.sh" hub --role aggregator --data "$data"
check "a device with two roles" "$tls/add-device.sh" pi.5 --role worker --role sensor --data "$data"
refuse "a device of a name that is taken" "$tls/add-device.sh" door --data "$data"
refuse "a device with the name of a user that is always there" "$tls/add-device.sh" viewer --data "$data"
refuse "a device with a role that there is not" "$tls/add-device.sh" pi-9 --role cook --data "$data"
users="pi-1 pi-2 door hub viewer homeassistant operator"
for user in $users pi.5; do
    tries=0
    while [ $tries -lt 50 ] && ! as $user mosquitto_pub -t lcp/p/none -n 2>/dev/null; do sleep 0.1; tries=$((tries + 1)); done
    check "the broker that runs lets $user in" test $tries -lt 50
done
# listen USER FILE FILTER…: a subscriber that writes what it gets to FILE, once it has subscribed.
listen() {
    user=$1
    file=$2
    shift 2
    filters=
    for filter; do filters="$filters -t $filter"; done
    # shellcheck disable=SC2086
    mosquitto_sub -V 5 --cafile "$data/ca.crt" -h localhost -p "$port" -u "$user" -P "$(password "$user")" \
        -i "table-$user" -q 1 $filters -F '%t %p' >"$file" 2>/dev/null &
    listeners="${listeners:-} $!"
    tries=0
    while [ $tries -lt 100 ] && ! grep -q "Sending SUBACK to table-$user\$" "$work/broker.log"; do
        sleep 0.05
        tries=$((tries + 1))
    done
}
# The topics, who may write there, and who may read there.
cat >"$work/table" <<'END'
lcp/p/status/worker/pi-1       pi-1 operator                   pi-1 pi-2 door hub viewer homeassistant operator
lcp/p/status/worker/pi-2       pi-2 operator                   pi-1 pi-2 door hub viewer homeassistant operator
lcp/p/status/sensor/door       door operator                   pi-1 pi-2 door hub viewer homeassistant operator
lcp/p/status/aggregator/hub    hub operator                    pi-1 pi-2 door hub viewer homeassistant operator
lcp/p/stats/worker/pi-2        pi-2 operator                   hub viewer homeassistant operator
lcp/p/input/door               door operator                   pi-1 pi-2 hub viewer operator
lcp/p/input/gate               operator                        pi-1 pi-2 hub viewer operator
lcp/p/lane/0/door              door hub operator               pi-1 pi-2 viewer operator
lcp/p/lane/0/gate              hub operator                    pi-1 pi-2 viewer operator
lcp/p/again/door               hub operator                    door viewer operator
lcp/p/features/0/door          pi-1 pi-2 operator              hub viewer operator
lcp/p/features/17/0/door       pi-1 pi-2 operator              hub viewer operator
lcp/p/group/hub                hub operator                    hub viewer operator
lcp/p/group/hub-2              operator                        hub viewer operator
lcp/p/prediction/door          hub operator                    door viewer homeassistant operator
lcp/p/prediction/gate          hub operator                    viewer homeassistant operator
lcp/p/task/pi-1                hub operator                    pi-1 hub viewer operator
lcp/p/probe/pi-1               hub operator                    pi-1 viewer operator
lcp/p/flow                     hub operator                    pi-1 pi-2 door hub viewer operator
lcp/p/model/manifest           pi-1 pi-2 hub operator          pi-1 pi-2 door hub viewer operator
lcp/p/event/door               hub operator                    viewer homeassistant operator
lcp/p/state/door               hub operator                    hub viewer homeassistant operator
lcp/p/snapshot/door            pi-1 pi-2 door hub operator     viewer homeassistant operator
lcp/p/snapshot/gate            pi-1 pi-2 hub operator          viewer homeassistant operator
lcp/p/snapshot/door/get        hub homeassistant operator      pi-1 pi-2 door viewer operator
homeassistant/device/x/config  hub homeassistant operator      hub homeassistant operator
homeassistant/status           homeassistant operator          hub homeassistant operator
homeassistant/other            homeassistant operator          homeassistant operator
END
listeners=
listen operator "$work/written" 'lcp/#' 'homeassistant/#'
while read -r topic _; do
    for user in $users; do as "$user" mosquitto_pub -q 1 -t "$topic" -m "$user" 2>/dev/null; done
done <"$work/table"
as operator mosquitto_pub -q 1 -t lcp/p/end -m end
tries=0
while [ $tries -lt 100 ] && ! grep -q '^lcp/p/end' "$work/written"; do sleep 0.05; tries=$((tries + 1)); done
for user in pi-1 pi-2 door hub viewer homeassistant; do listen $user "$work/read-$user" 'lcp/p/+/+' 'lcp/p/+/+/+' 'lcp/p/+/+/+/+' 'lcp/p/+' 'homeassistant/#'; done
while read -r topic _; do as operator mosquitto_pub -q 1 -t "$topic" -m all; done <"$work/table"
as operator mosquitto_pub -q 1 -t lcp/p/flow -m end
sleep 0.5
# shellcheck disable=SC2086
kill $listeners 2>/dev/null
while read -r topic columns; do
    writers=${columns%%  *}
    readers=${columns##*  }
    seen=$(sed -n "s|^$topic ||p" "$work/written" | grep -v '^all$' | grep -v '^end$' | tr '\n' ' ')
    check "$topic is written by $writers, and nobody else" test "$(echo $seen)" = "$(echo $writers)"
    seen=
    for user in $users; do
        file=$work/read-$user
        [ $user = operator ] && file=$work/written
        grep -q "^$topic all\$" "$file" && seen="$seen $user"
    done
    check "$topic is read by $readers, and nobody else" test "$(echo $seen)" = "$(echo $readers)"
done <"$work/table"
# Whoever joins a shared subscription takes nothing from those who listen to their lane.
as viewer mosquitto_sub -t '$share/branch-0-of-4/lcp/p/lane/+/+' -W 5 >/dev/null 2>&1 &
listeners=
listen pi-2 "$work/lane" 'lcp/p/lane/0/+'
sleep 0.3
for number in 1 2 3 4 5 6 7 8; do as door mosquitto_pub -q 1 -t lcp/p/lane/0/door -m $number; done
sleep 0.3
kill $listeners 2>/dev/null
check "a thief in a shared subscription takes no frame from a lane" test "$(grep -c door "$work/lane")" = 8
check "a device is shut out" "$tls/add-device.sh" --remove pi-2 --data "$data"
tries=0
while [ $tries -lt 50 ] && as pi-2 mosquitto_pub -t lcp/p/none -n 2>/dev/null; do sleep 0.1; tries=$((tries + 1)); done
check "the broker that runs shuts it out" test $tries -lt 50
refuse "its rights are gone" grep -q pi-2 "$data/acl"
refuse "one that is not there is shut out" "$tls/add-device.sh" --remove pi-2 --data "$data"

# Starting again.
cp "$data/server.crt" "$work/server.crt"
cp "$data/passwords/worker" "$work/worker"
"$tls/start.sh" --data "$data" --port $port >"$work/out" 2>&1
check "a port in use is refused in one sentence" \
    test "$?:$(wc -l <"$work/out" | tr -d ' '):$(grep -c 'in use' "$work/out")" = 1:1:1
check "something is kept" as operator mosquitto_pub -q 1 -r -t lcp/p/state/door -m cat
stop
mkdir "$work/other"
echo "mine" >"$work/other/file"
refuse "a folder with other things in it" "$tls/start.sh" --data "$work/other" --port $port
check "a second start" start --port $port
check "it keeps the certificate" cmp -s "$work/server.crt" "$data/server.crt"
check "it keeps what was retained" test "$(as viewer mosquitto_sub -C 1 -W 5 -t lcp/p/state/door)" = cat
check "it keeps the passwords" cmp -s "$work/worker" "$data/passwords/worker"
stop

# A user of one's own, another name, and client certificates, with that line switched on.
sed 's/^#require_certificate/require_certificate/' "$tls/mosquitto.conf.in" >"$work/conf"
mv "$work/conf" "$tls/mosquitto.conf.in"
check "a client certificate" "$tls/client-certificate.sh" door --data "$data"
refuse "a second one of the same name" "$tls/client-certificate.sh" door --data "$data"
certificate="--cert $data/clients/door.crt --key $data/clients/door.key"
check "a third start, with client certificates and one more name" start --port $port --host new.example
openssl x509 -in "$data/server.crt" -noout -checkhost new.example >"$work/name"
check "the new name is in the certificate" grep -q 'does match' "$work/name"
openssl x509 -in "$data/server.crt" -noout -checkhost broker.example >"$work/name"
check "the old names are in it too" grep -q 'does match' "$work/name"
refuse "no client certificate" as worker mosquitto_pub -t lcp/p/stats/worker/w -n
check "with the client certificate" as door mosquitto_pub $certificate -t lcp/house/input/door -n
stop
certificate=
cp "$data/clients/door.crt" "$work/door.crt"
cp "$data/clients/door.key" "$work/door.key"
check "a client certificate of another device" "$tls/client-certificate.sh" hub --data "$data"
certificate="--cert $data/clients/hub.crt --key $data/clients/hub.key"
check "a client certificate is revoked" "$tls/client-certificate.sh" --revoke door --data "$data"
check "a fourth start" start --port $port
refuse "the certificate that was revoked" \
    as door mosquitto_pub --cert "$work/door.crt" --key "$work/door.key" -t lcp/house/input/door -n
check "another certificate" as hub mosquitto_pub $certificate -t lcp/house/status/aggregator/hub -n

if [ $failures = 0 ]; then echo "all well"; else echo "$failures wrong"; exit 1; fi
