# A Debian system of another release in a folder, for the checks beside this file, which source it. Only root can make one.

fail() { echo "$(basename "$0" .sh): $*" >&2; exit 1; }

# This machine's own Debian mirror, as apt has it; nothing where there is none.
system_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null |
        head -n 1
}

# Says in one sentence why no root can be made.
check_root_maker() {
    [ "$(id -u)" = 0 ] || fail "only root can make a Debian root: run it with sudo"
    for program in mmdebstrap unshare; do
        command -v $program >/dev/null 2>&1 ||
            fail "there is no $program on this machine: apt-get install mmdebstrap util-linux"
    done
    [ -n "$mirror" ] || mirror=$(system_mirror)
    [ -n "$mirror" ] || fail "apt on this machine knows no Debian mirror: give one with --mirror URL"
}

# run SIGNAL PROGRAM…
# Runs a program so that a signal to this script is answered at once, not when the program ends; the program gets SIGNAL then.
child=
run() {
    child_signal=$1
    shift
    "$@" <&0 &
    child=$!
    status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

# make_root SUITE FOLDER PACKAGE…
# A folder that has such a root already is taken as it is. Packages may be of $architectures, by default this machine's alone.
make_root() {
    suite=$1
    root=$2
    shift 2
    packages=$(echo "$@" | tr ' ' ',')
    [ -f "$root.packages" ] && [ "$(cat "$root.packages")" = "$packages" ] && return
    rm -rf --one-file-system "$root" "$root.packages"
    echo "making a root of Debian $suite in $root"
    # A mirror that is a frozen snapshot has lists that have expired.
    run TERM mmdebstrap --quiet --variant=minbase ${architectures:+--architectures="$architectures"} --aptopt='Acquire::Check-Valid-Until "false"' --include="$packages" \
        "$suite" "$root" "$mirror" 2>"$work/root.log" ||
        { cat "$work/root.log" >&2; fail "the root of Debian $suite could not be made from $mirror: is there a network?"; }
    echo "$packages" >"$root.packages"
}

# in_root ROOT COMMAND…
# In name spaces of its own: with the last process here all others, and all that is mounted, are gone. What stands in
# $bound, some folders, is visible under the same path, or FOLDER=PATH under another. With $copy, a folder, the root stays as it is, and a
# copy of it that is made there is used.
in_root() {
    root=$1
    shift
    export bound=${bound:-}
    if [ -n "${copy:-}" ]; then
        if [ ! -d "$copy" ]; then
            # Its devices are those of this machine.
            mkdir "$copy.part" "$copy.part/dev"
            find "$root" -mindepth 1 -maxdepth 1 ! -name dev -exec cp -a --reflink=auto -t "$copy.part" {} + ||
                fail "the root could not be copied to $copy: is the disk full?"
            mv "$copy.part" "$copy"
        fi
        root=$copy
    fi
    # While unshare waits it takes no other signal; with it go all processes in the root.
    run KILL unshare --mount --pid --fork --kill-child --propagation private sh -euc '
        root=$1
        shift
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        # XNNPACK looks there for the processors of an ARM machine.
        mount --rbind /sys "$root/sys"
        mount -t tmpfs tmpfs "$root/tmp"
        for place in $bound; do
            mkdir -p "$root${place#*=}"
            mount --bind "${place%%=*}" "$root${place#*=}"
        done
        exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
    ' sh "$root" "$@"
}

# The end, however it comes.
clean_up() {
    if [ -n "$child" ]; then
        kill -s "$child_signal" "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    rm -rf --one-file-system "$work"
}

# open_work_folder [CACHE]: $work, which is removed at the end, and $roots, which is in it or the cache.
open_work_folder() {
    work=$(mktemp -d "${TMPDIR:-/var/tmp}/lcp-check.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    roots=${1:-$work}
    mkdir -p "$roots"
    roots=$(cd "$roots" && pwd)
}
