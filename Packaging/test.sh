#!/bin/sh
# Installs the packages in clean Debian systems and uses them there, as who gets one does: make test-packages
#   Packaging/test.sh [--mirror URL] [--cache FOLDER] [--packages FOLDER] [TARGET…]
# It runs as root with mmdebstrap, after make packages. debian13-arm64 runs under emulation (qemu-user-static), and is left out
# where there is none. What it cannot look at: systemd does not run in a root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(dirname "$here")
. "$tree/Scripts/debian-root.sh"

mirror= cache=$tree/.build/roots shelf=$tree/.build/packages targets=
while [ $# -gt 0 ]; do
    case "$1" in
        --mirror) mirror=${2:?--mirror needs a URL}; shift ;;
        --cache) cache=${2:?--cache needs a folder}; shift ;;
        --packages) shelf=${2:?--packages needs a folder}; shift ;;
        debian12-amd64 | debian13-amd64 | debian13-arm64) targets="$targets $1" ;;
        *) fail "there is no target $1: debian12-amd64, debian13-amd64 or debian13-arm64" ;;
    esac
    shift
done
targets=${targets:-debian12-amd64 debian13-amd64 debian13-arm64}
check_root_maker
open_work_folder "$cache"
version=$(sed -n 's/.*current = "\(.*\)".*/\1/p' "$tree/Sources/LCPPipeline/Session/LCPVersion.swift")

# The file of a target's package.
file_of() {
    release=${1#debian} release=${release%-*}
    file=$shelf/lcp_$version-1+deb${release}_${1##*-}.deb
    [ -f "$file" ] || fail "there is no $file: make packages"
    echo "$file"
}

# Inside: installs the package, uses it, installs it once more, takes it away. $1 is the package, $2 another release's.
cat >"$work/inside.sh" <<'END'
set -eu
say() { echo "inside: $*"; }
die() { echo "inside: $*" >&2; exit 1; }
files() { find /etc /usr /var /run -xdev ! -type d \( -path '*lcp*' -o -name '*lcp*' \) ! -path '/var/lib/dpkg/*' ! -path '/var/cache/apt/*' | sort; }
export DEBIAN_FRONTEND=noninteractive
# Nothing is started here by a package.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
apt-get -o Acquire::Check-Valid-Until=false update -qq
[ -z "$(files)" ] || die "the root is not clean: $(files)"
if [ -n "$2" ]; then
    ! apt-get install -y --no-install-recommends "$2" >/tmp/other 2>&1 || die "the package of another release was installed"
    say "another release's package is refused: $(grep -m 1 'Depends:\|Unable to satisfy' /tmp/other | sed 's/^ *//')"
fi
begin=$(date +%s)
apt-get install -y --no-install-recommends "$1" >/tmp/install.log 2>&1 || { cat /tmp/install.log; die "the package cannot be installed"; }
installed=$(date +%s)
lcp --version | grep -q '^[0-9.]* ([0-9a-f]\{12\})$' || die "lcp --version says $(lcp --version)"
lcp init --yes --pipeline kitchen >/tmp/init.log || die "lcp init failed"
grep -q '^wrote /etc/lcp/kitchen.yaml$' /tmp/init.log || die "lcp init says: $(cat /tmp/init.log)"
summary=$(lcp demo --frames 100 --json | tail -n 1)
echo "$summary" | grep -q '"lost":0[,}]' || die "the demo lost frames: $summary"
end=$(date +%s)
say "$(lcp --version): installed in $((installed - begin)) s, lcp init and lcp demo in $((end - installed)) s: $summary"
# What a service would not see is refused.
mkdir -p /root/pictures
! lcp init --yes --pipeline hall --role sensor --source dir:/root/pictures >/tmp/init.log 2>&1 && grep -q 'sees no home folder' /tmp/init.log ||
    die "lcp init takes pictures in a home folder: $(cat /tmp/init.log)"
! lcp init --yes --pipeline hall --role sensor --source stdin >/tmp/init.log 2>&1 && grep -q 'no standard input' /tmp/init.log ||
    die "lcp init takes standard input for a service: $(cat /tmp/init.log)"
# As systemd starts it.
mkdir -p /run/mosquitto && chown mosquitto /run/mosquitto
/usr/sbin/mosquitto -c /etc/mosquitto/mosquitto.conf >/tmp/mosquitto.log 2>&1 &
broker=$!
for try in $(seq 100); do
    lcp doctor --broker mqtt://127.0.0.1 >/tmp/doctor.log 2>&1 || true
    grep -q 'cannot connect' /tmp/doctor.log || break
    sleep 0.1
done
grep -q 'messages' /tmp/doctor.log && ! grep -q nodelay /tmp/doctor.log || die "mosquitto makes every message wait: $(cat /tmp/doctor.log /tmp/mosquitto.log)"
kill $broker && wait $broker || true
# A systemctl that only notes what it is asked for.
mkdir -p /run/systemd/system
printf '#!/bin/sh\necho "$*" >>/tmp/asked\n' >/usr/local/bin/systemctl && chmod +x /usr/local/bin/systemctl
lcp init --yes --pipeline garage --broker here --role aggregator,worker >/tmp/init.log || die "lcp init with services failed"
[ "$(cat /tmp/asked)" = "disable --now mosquitto.service
enable --now lcp-broker lcp-aggregator@garage lcp-worker@garage" ] || die "lcp init asked systemctl for: $(cat /tmp/asked)"
rm -r /run/systemd /usr/local/bin/systemctl /etc/lcp/garage.yaml
for page in lcp lcp-worker lcp-model-push; do [ -s "/usr/share/man/man1/$page.1.gz" ] || die "there is no page $page(1)"; done
bash -n /usr/share/bash-completion/completions/lcp || die "bash does not read its completion"
for unit in lcp-worker@ lcp-aggregator@ lcp-sensor@ lcp-broker; do
    [ -f "/usr/lib/systemd/system/$unit.service" ] || die "there is no unit $unit"
done
cp /etc/lcp/kitchen.yaml /tmp/kitchen.yaml
apt-get install -y --reinstall "$1" >/dev/null 2>&1 || die "the package cannot be installed once more"
cmp /etc/lcp/kitchen.yaml /tmp/kitchen.yaml || die "an upgrade changed the pipeline's file"
# As services leave it.
mkdir -p /var/lib/private/lcp/names /var/cache/private/lcp/models /etc/systemd/system/multi-user.target.wants
touch /var/lib/private/lcp/names/a /var/cache/private/lcp/models/b
ln -sf /usr/lib/systemd/system/lcp-worker@.service /etc/systemd/system/multi-user.target.wants/lcp-worker@kitchen.service
apt-get remove -y lcp >/dev/null 2>&1 || die "the package cannot be removed"
left=$(files)
[ "$left" = "/etc/lcp/kitchen.yaml
/etc/mosquitto/conf.d/lcp.conf
/etc/systemd/system/multi-user.target.wants/lcp-worker@kitchen.service
/var/cache/private/lcp/models/b
/var/lib/private/lcp/names/a" ] || die "after its removal there is: $left"
apt-get purge -y lcp >/dev/null 2>&1 || die "the package cannot be purged"
left=$(files)
[ -z "$left" ] && [ ! -e /etc/lcp ] && [ ! -e /var/lib/private/lcp ] || die "after a purge there is: $left"
say "removed and purged, nothing is left"
END

check() {
    target=$1
    release=${target#debian} release=${release%-*}
    suite=trixie other=
    if [ "$release" = 12 ]; then
        suite=bookworm
        # It is refused only where it wants newer libraries.
        [ ! -f "$shelf/lcp_$version-1+deb13_${target##*-}.deb" ] || other=/packages/lcp_$version-1+deb13_${target##*-}.deb
    fi
    file=$(file_of "$target")
    root=$roots/lcp-clean-$target
    architectures=${target##*-}
    make_root $suite "$root" ca-certificates
    architectures=
    copy=$work/root-$target bound="$shelf=/packages $work=/checks" in_root "$root" \
        sh /checks/inside.sh "/packages/$(basename "$file")" "$other" || fail "$target: see above"
    echo "$target is well"
}

# What systemd itself says of the units: that they are right, and how much they may do, 0 to 10.
check_units() {
    command -v systemd-analyze >/dev/null 2>&1 || { echo "LEFT OUT: the units are not looked at, because there is no systemd-analyze"; return; }
    mkdir "$work/units"
    for unit in "$here"/systemd/*.service; do
        # The program and its pages are not on this machine.
        sed 's,/usr/bin/lcp,/bin/true,; /^Documentation/d' "$unit" >"$work/units/$(basename "$unit")"
    done
    said=$(systemd-analyze verify "$work"/units/*.service 2>&1) || true
    [ -z "$said" ] || fail "systemd-analyze verify says: $said"
    for unit in "$work"/units/*.service; do
        level=$(systemd-analyze security --offline=yes --threshold=25 "$unit" 2>&1) ||
            fail "$(basename "$unit") may do more than it should: $(echo "$level" | tail -n 1)"
        echo "$level" | sed -n 's/.*level for \(.*\): \([0-9.]*\) .*/\1: exposure \2 of 10/p'
    done
}

. "$here/emulation.sh"

[ -n "${LCP_EMULATED:-}" ] || check_units

for target in $targets; do
    case "$target" in
        *-amd64) check "$target" ;;
        *-arm64)
            if [ -n "${LCP_EMULATED:-}" ]; then
                check "$target"
                compare_architectures
                continue
            fi
            reason=$(why_not_emulated)
            if [ -n "$reason" ]; then
                echo "LEFT OUT: $target is not tested, because $reason"
                continue
            fi
            emulate env LCP_EMULATED=1 "$0" --mirror "$mirror" --cache "$roots" --packages "$shelf" "$target" ||
                fail "$target: see above"
            ;;
    esac
done
