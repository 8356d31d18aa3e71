#!/bin/sh
# Starts a mosquitto with TLS, users and access lists, in the foreground.
#   start.sh [--host NAME]... [--port 8883] [--data FOLDER]
# The first start makes a certificate authority, a server certificate and users with random passwords in FOLDER, which
# is data/ beside this script by default. Later starts reuse them and make only what is missing or about to expire.
# NAME is a name or an address by which clients call this machine; localhost and its own name are always there.
set -eu
umask 077

fail() { echo "start.sh: $*" >&2; exit 1; }

here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/../data-folder.sh"
data=$(data_folder "$here")
port=8883
hosts=
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p;}' "$0"; exit 0 ;;
        --host | --port | --data) [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value" ;;
        *) fail "unknown argument $1: see start.sh --help" ;;
    esac
    case "$1" in
        --host)
            case "$2" in *[!A-Za-z0-9.:_*-]*) fail "$2 is no host name or address" ;; esac
            hosts="$hosts $2" ;;
        --port) port=$2 ;;
        --data) data=$2 ;;
    esac
    shift 2
done
case "$port" in *[!0-9]* | ??????*) fail "$port is no port: use 1 to 65535" ;; esac
[ "$port" -ge 1 ] && [ "$port" -le 65535 ] || fail "$port is no port: use 1 to 65535"

# Debian keeps mosquitto in /usr/sbin, which is often not in an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin
for program in openssl mosquitto mosquitto_passwd; do
    package=$program
    [ "$program" = mosquitto_passwd ] && package=mosquitto
    command -v "$program" >/dev/null 2>&1 ||
        fail "$program is not installed; on Debian: sudo apt-get install $package"
done

# The folder. One that holds other things is left alone, because its permissions are changed below.
mkdir -p "$data" 2>/dev/null && data=$(cd "$data" 2>/dev/null && pwd -P) || fail "cannot make or open the folder $data"
case "$data" in *"
"*) fail "the folder's path must not contain a line break" ;; esac
[ -w "$data" ] || fail "cannot write to $data: start this as the user whose folder it is"
if [ ! -e "$data/ca.key" ] && [ ! -e "$data/.new" ] && [ -n "$(ls -A "$data")" ]; then
    fail "$data is not empty and was not made by this script: name another folder with --data"
fi
for file in ca.key server.key passwd mosquitto.conf; do
    [ ! -e "$data/$file" ] || [ -r "$data/$file" ] ||
        fail "cannot read $data/$file: start this as the user whose file it is"
done

# Something that accepts connections on the port means it is taken. A silent program is not waited for.
new=$data/.new
mkdir -p "$new"
: >"$new/probe"
openssl s_client -connect "127.0.0.1:$port" </dev/null >>"$new/probe" 2>&1 &
probe=$!
tries=0
while [ $tries -lt 20 ] && kill -0 $probe 2>/dev/null && ! grep -q '^CONNECTED' "$new/probe"; do
    sleep 0.1
    tries=$((tries + 1))
done
kill $probe 2>/dev/null || true
wait $probe 2>/dev/null || true
if grep -q '^CONNECTED' "$new/probe"; then
    rm -rf "$new"
    fail "port $port is in use: stop what listens there, or choose another with --port"
fi

# Runs openssl and shows what it said only if it fails.
quietly() { "$@" >"$new/log" 2>&1 || { cat "$new/log" >&2; fail "openssl failed, see above"; }; }

# The certificate authority, for ten years.
if [ ! -s "$data/ca.key" ] || [ ! -s "$data/ca.crt" ]; then
    cat >"$new/ca.cnf" <<END
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = lcp certificate authority $(openssl rand -hex 4)
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
END
    quietly openssl ecparam -name prime256v1 -genkey -noout -out "$new/ca.key"
    quietly openssl req -new -x509 -sha256 -days 3650 -key "$new/ca.key" -config "$new/ca.cnf" -out "$new/ca.crt"
    mv "$new/ca.key" "$data/ca.key"
    mv "$new/ca.crt" "$data/ca.crt"
    rm -f "$data/server.crt" "$data/revoked"
fi
# Certificates that are refused.
"$here/revocation-list.sh" "$data"
openssl x509 -in "$data/ca.crt" -noout -checkend 7776000 >/dev/null ||
    echo "start.sh: the certificate authority expires in less than 90 days: README.md says how to renew it" >&2

# The server's names are kept, so that a renewed certificate has them all.
touch "$data/hosts"
for host in localhost 127.0.0.1 ::1 "$(uname -n)" $hosts; do
    grep -qixF -e "$host" "$data/hosts" && continue
    echo "$host" >>"$data/hosts"
    rm -f "$data/server.crt"
done

# The server's certificate: made anew if a name is missing or if it expires within 30 days.
if [ ! -s "$data/server.crt" ] || [ ! -s "$data/server.key" ] ||
    ! openssl x509 -in "$data/server.crt" -noout -checkend 2592000 >/dev/null; then
    names=
    while read -r host; do
        case "$host" in
            *:*) kind=IP ;;
            *[!0-9.]*) kind=DNS ;;
            *) kind=IP ;;
        esac
        names="$names${names:+,}$kind:$host"
    done <"$data/hosts"
    cat >"$new/server.cnf" <<END
[req]
distinguished_name = name
prompt = no
[name]
CN = lcp broker
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $names
END
    quietly openssl ecparam -name prime256v1 -genkey -noout -out "$new/server.key"
    quietly openssl req -new -sha256 -key "$new/server.key" -config "$new/server.cnf" -out "$new/server.csr"
    quietly openssl x509 -req -sha256 -days 825 -in "$new/server.csr" -CA "$data/ca.crt" -CAkey "$data/ca.key" \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$new/server.cnf" -extensions server -out "$new/server.crt"
    mv "$new/server.key" "$data/server.key"
    mv "$new/server.crt" "$data/server.crt"
fi

# The users. Every file in passwords/ is one; its first line is the password. passwd is made from them at every start.
# -U hashes a file in place, so that no password is ever an argument that other users could see.
mkdir -p "$data/passwords" "$data/kept"
for user in sensor worker aggregator viewer homeassistant operator; do
    [ -s "$data/passwords/$user" ] && continue
    openssl rand -hex 24 >"$new/password"
    mv "$new/password" "$data/passwords/$user"
done
: >"$new/passwd"
for file in "$data/passwords"/*; do
    user=${file##*/}
    case "$user" in *[!A-Za-z0-9._-]*) fail "$file: a user's name has only letters, digits, dots, - and _" ;; esac
    password=
    IFS= read -r password <"$file" || true
    [ -n "$password" ] || fail "$file has no password in its first line"
    printf '%s:%s\n' "$user" "$password" >>"$new/passwd"
done
mosquitto_passwd -U "$new/passwd" >"$new/log" 2>&1 || { cat "$new/log" >&2; fail "mosquitto_passwd failed, see above"; }
mv "$new/passwd" "$data/passwd"

[ -e "$data/acl" ] || cp "$here/acl" "$data/acl"
grep -q '^# lcp acl 5' "$data/acl" ||
    echo "start.sh: $data/acl is of an older version, without events, snapshots and Home Assistant: README.md says how to bring it up to date" >&2

escaped=$(printf '%s\n' "$data" | sed 's/[\\&|]/\\&/g')
sed -e "s|@PORT@|$port|g" -e "/^#/!s|@DATA@|$escaped|g" "$here/mosquitto.conf.in" >"$new/mosquitto.conf"
mv "$new/mosquitto.conf" "$data/mosquitto.conf"
rm -rf "$new"

# Permissions: 700 and 600, for the owner alone.
chmod 700 "$data" "$data/passwords" "$data/kept"
chmod 600 "$data"/*.key "$data"/*.crt "$data/ca.crl" "$data/revoked" "$data/hosts" "$data/passwd" "$data/acl" "$data/mosquitto.conf"
chmod 600 "$data/passwords"/*
if [ "$(id -u)" = 0 ]; then
    # Started by root, mosquitto becomes the user mosquitto before it reads these files. Its group may read what it
    # needs, and change nothing. The authority's key and the passwords stay with root. The other way, "user root" in
    # the configuration, would let anybody who breaks into the broker have the machine.
    group=$(id -g mosquitto 2>/dev/null) ||
        fail "there is no user mosquitto for root to start it as: start it as another user"
    chgrp "$group" "$data"
    chmod 710 "$data"
    for file in ca.crt ca.crl server.crt server.key passwd acl mosquitto.conf; do
        chgrp "$group" "$data/$file"
        chmod 640 "$data/$file"
    done
    # What the broker keeps it writes there.
    chown -R "mosquitto:$group" "$data/kept"
    if command -v su >/dev/null 2>&1 && ! su -s /bin/sh -c 'test -r "$0"' mosquitto "$data/server.key" 2>/dev/null; then
        fail "the user mosquitto cannot reach $data: name a folder with --data whose parents everybody may enter"
    fi
fi

# This process becomes the broker; add-device.sh tells it of changes.
echo $$ >"$data/mosquitto.pid"
echo "broker with TLS on port $port; authority $data/ca.crt; passwords $data/passwords" >&2
exec mosquitto -c "$data/mosquitto.conf"
