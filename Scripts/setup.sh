#!/bin/sh
# Installs what lcp is built with, or says in one sentence what is missing.
#   Scripts/setup.sh            what building and running needs
#   Scripts/setup.sh tests      and what the tests need besides
#   Scripts/setup.sh hardware   what the simulated array of Hardware/ and its synthesis need
#   Scripts/setup.sh packages   only prints the Debian packages that building and running needs
set -eu

packages="mosquitto mosquitto-clients libmosquitto-dev libxnnpack-dev libpthreadpool-dev libjpeg-dev
libpng-dev libwebp-dev libxxhash-dev libyaml-dev libssl-dev zlib1g-dev pkg-config ca-certificates curl"
[ "${1:-}" = tests ] && packages="$packages openssl python3 python3-paho-mqtt ffmpeg"
[ "${1:-}" = hardware ] && packages="verilator g++ make yosys opensta python3"
[ "${1:-}" = packages ] && echo $packages && exit

fail() { echo "setup: $*" >&2; exit 1; }

if [ "${1:-}" != hardware ]; then
    command -v swift >/dev/null 2>&1 ||
        fail "there is no Swift on this machine: install 6.2 or later from https://www.swift.org/install/linux and put it in PATH"
    version=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    case "$version" in
        "" | [0-5].* | 6.[01]) fail "Swift ${version:-of an unknown version} is too old: lcp needs 6.2 or later, from https://www.swift.org/install/linux" ;;
    esac
fi

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    fail "this system has no apt: install the equivalents of these Debian packages yourself:" $packages
fi
missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=sudo
else
    fail "only root may install packages, and there is no sudo to ask: have root run: apt-get install$missing"
fi

echo "setup: installing$missing"
$as_root apt-get update -qq || fail "apt-get update failed: is there a network?"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    fail "apt-get could not install$missing"
