#!/bin/sh
# Shows that lcp works with Debian 13 (trixie): its mosquitto is 2.0.21, which wants its configuration as a file.
#   Scripts/check-debian13.sh [--mirror URL] [--cache FOLDER] [LCP]
# LCP is the program, .build/release/lcp by default (make build). It runs inside a root of Debian 13, with that system's
# mosquitto, C library and all other libraries that are called as here; those that are not (XNNPACK's) are this machine's,
# and are listed. With --cache the root stays in FOLDER for the next time; without, nothing stays.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debian-root.sh"

mirror= cache= lcp=
while [ $# -gt 0 ]; do
    case "$1" in
        --mirror) mirror=${2:?--mirror needs a URL}; shift ;;
        --cache) cache=${2:?--cache needs a folder}; shift ;;
        -*) fail "there is no option $1: [--mirror URL] [--cache FOLDER] [LCP]" ;;
        *) lcp=$1 ;;
    esac
    shift
done
lcp=${lcp:-$here/../.build/release/lcp}
[ -x "$lcp" ] || fail "there is no program $lcp: make build"
check_root_maker
open_work_folder "$cache"

# The libraries themselves, without what only building needs.
make_root trixie "$roots/lcp-debian-trixie" mosquitto libmosquitto1 libjpeg62-turbo libpng16-16t64 libwebp7 libxxhash0 libyaml-0-2 libssl3t64 \
    zlib1g libstdc++6

bound=$work/program
mkdir -p "$bound/bin" "$bound/share/lcp" "$bound/lib"
cp "$lcp" "$bound/bin/lcp"
cp -R "$here/../Models" "$here/../Brokers" "$here/../Configs" "$bound/share/lcp/"
for library in $(ldd "$lcp" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p'); do
    name=$(basename "$library")
    find "$root/usr/lib" "$root/lib/" -name "$name" 2>/dev/null | grep -q . && continue
    echo "from this machine, because Debian 13 has no library of this name: $name"
    cp -L "$library" "$bound/lib/"
done

inside() { in_root "$roots/lcp-debian-trixie" env LD_LIBRARY_PATH="$bound/lib" PATH="$bound/bin:/usr/sbin:/usr/bin" "$@"; }

inside sh -euc '
    . /etc/os-release
    echo "inside: $PRETTY_NAME, $(dpkg-query -W -f "\${Package} \${Version}" mosquitto), lcp $(lcp --version)"
    lcp broker --port 0 >/tmp/broker.log 2>&1 &
    broker=$!
    url=
    while [ -z "$url" ]; do
        kill -0 $broker 2>/dev/null || { cat /tmp/broker.log; exit 1; }
        sleep 0.1
        url=$(sed -n "s/^the broker listens on \([^;]*\);.*/\1/p" /tmp/broker.log)
    done
    lcp doctor --broker "$url"
    kill -TERM $broker
    wait $broker
    summary=$(lcp demo --frames 60 --json | tail -n 1)
    echo "$summary"
    echo "$summary" | grep -q "\"lost\":0[,}]"
' || fail "lcp does not work with Debian 13: see above"
echo "lcp broker and lcp demo work with Debian 13"
