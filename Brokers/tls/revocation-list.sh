#!/bin/sh
# Writes the list of certificates that the broker refuses, anew and with one more if one is given.
#   revocation-list.sh FOLDER [CERTIFICATE]
# start.sh and client-certificate.sh call it; the list is FOLDER/ca.crl, what was revoked stands in FOLDER/revoked.
set -eu
umask 077

case "${1:-}" in
    -h | --help) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/d;p;}' "$0"; exit 0 ;;
    "" | -*) echo "revocation-list.sh: see revocation-list.sh --help" >&2; exit 1 ;;
esac
data=$1
[ -r "$data/ca.key" ] || { echo "revocation-list.sh: there is no certificate authority in $data that you may read" >&2; exit 1; }
new=$(mktemp -d "$data/.new-list.XXXXXX")
trap 'rm -rf "$new"' EXIT
touch "$data/revoked"
cp "$data/revoked" "$new/revoked"
cat >"$new/ca.cnf" <<END
[ca]
default_ca = lcp
[lcp]
database = $new/revoked
default_md = sha256
default_crl_days = 3650
END
run() {
    openssl ca -config "$new/ca.cnf" -keyfile "$data/ca.key" -cert "$data/ca.crt" "$@" >"$new/log" 2>&1 ||
        { cat "$new/log" >&2; echo "revocation-list.sh: openssl failed, see above" >&2; exit 1; }
}
[ -z "${2:-}" ] || run -revoke "$2"
run -gencrl -out "$new/ca.crl"
cat "$new/revoked" >"$data/revoked"
# Written in place, so that the broker's group may still read it.
cat "$new/ca.crl" >"$data/ca.crl"
