#!/bin/sh
# Makes a certificate for one client, signed by the broker's certificate authority.
#   client-certificate.sh NAME [--data FOLDER]
#   client-certificate.sh --revoke NAME [--data FOLDER]
# The first writes FOLDER/clients/NAME.crt and NAME.key, for two years; FOLDER is data/ beside this script by default.
# The second makes the broker refuse that certificate from its next start on, and removes it.
# The broker asks for one only with "require_certificate true" in mosquitto.conf.in: take that line's # away and start
# the broker again.
set -eu
umask 077

fail() { echo "client-certificate.sh: $*" >&2; exit 1; }

here=$(cd "$(dirname "$0")" && pwd -P)
. "$here/../data-folder.sh"
data=$(data_folder "$here")
name=
revoke=
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p;}' "$0"; exit 0 ;;
        --revoke) revoke=yes; shift ;;
        --data)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "--data needs a value"
            data=$2
            shift 2 ;;
        -*) fail "unknown argument $1: see client-certificate.sh --help" ;;
        *)
            [ -z "$name" ] || fail "one name at a time, please"
            name=$1
            shift ;;
    esac
done
[ -n "$name" ] || fail "whose certificate? client-certificate.sh NAME"
case "$name" in *[!A-Za-z0-9._-]* | .*) fail "a name has only letters, digits, dots, - and _" ;; esac
[ ${#name} -le 64 ] || fail "a name has at most 64 letters"
command -v openssl >/dev/null 2>&1 || fail "openssl is not installed; on Debian: sudo apt-get install openssl"
[ -r "$data/ca.key" ] || fail "there is no certificate authority in $data that you may read: run start.sh first"
clients=$data/clients
if [ -n "$revoke" ]; then
    [ -e "$clients/$name.crt" ] || fail "there is no certificate $clients/$name.crt"
    "$here/revocation-list.sh" "$data" "$clients/$name.crt"
    rm -f "$clients/$name.crt" "$clients/$name.key"
    echo "the certificate of $name is refused from the broker's next start on"
    exit 0
fi
for file in "$clients/$name.crt" "$clients/$name.key"; do
    [ ! -e "$file" ] || fail "$file is there already: --revoke it first for a new one"
done

mkdir -p "$clients"
chmod 700 "$clients"
new=$clients/.new-$name
mkdir -p "$new"
trap 'rm -rf "$new"' EXIT
quietly() { "$@" >"$new/log" 2>&1 || { cat "$new/log" >&2; fail "openssl failed, see above"; }; }

cat >"$new/client.cnf" <<END
[req]
distinguished_name = name
prompt = no
[name]
CN = $name
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
quietly openssl ecparam -name prime256v1 -genkey -noout -out "$new/key"
quietly openssl req -new -sha256 -key "$new/key" -config "$new/client.cnf" -out "$new/csr"
quietly openssl x509 -req -sha256 -days 730 -in "$new/csr" -CA "$data/ca.crt" -CAkey "$data/ca.key" \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$new/client.cnf" -extensions client -out "$new/crt"
mv "$new/key" "$clients/$name.key"
mv "$new/crt" "$clients/$name.crt"
echo "$clients/$name.crt"
echo "$clients/$name.key"
