#!/bin/sh
# Builds lcp with the oldest Swift that README.md and setup.sh promise: the one of Debian sid, in a root made for this.
#   Scripts/check-oldest-swift.sh [--mirror URL] [--cache FOLDER] [--tests]
# The tree is copied, so that nothing here changes. The packages that lcp depends on are fetched here, by this machine's own
# Swift and git, and the root reads them from this machine. It takes 4 GB of disk and some minutes; with --cache the root
# stays in FOLDER for the next time. --tests builds the tests, too.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debian-root.sh"

mirror= cache= products="--product lcp"
while [ $# -gt 0 ]; do
    case "$1" in
        --mirror) mirror=${2:?--mirror needs a URL}; shift ;;
        --cache) cache=${2:?--cache needs a folder}; shift ;;
        --tests) products=--build-tests ;;
        *) fail "there is no option $1: [--mirror URL] [--cache FOLDER] [--tests]" ;;
    esac
    shift
done
command -v swift >/dev/null 2>&1 || fail "there is no Swift on this machine to fetch the packages with"
check_root_maker
open_work_folder "$cache"

make_root sid "$roots/lcp-debian-sid" ca-certificates git swiftlang libswiftlang libc6-dev $("$here/setup.sh" packages)

bound=$work/tree
mkdir "$bound"
tar -C "$here/.." --exclude=.build --exclude=.git -cf - . | tar -C "$bound" -xf -
echo "fetching the packages that lcp depends on"
run TERM swift package --package-path "$bound" resolve >"$work/resolve.log" 2>&1 ||
    { cat "$work/resolve.log" >&2; fail "the packages could not be fetched"; }

promised=$(sed -n 's/^.. swift-tools-version: *//p' "$bound/Package.swift")
in_root "$roots/lcp-debian-sid" sh -euc '
    cd "$1"
    promised=$2
    shift 2
    version=$(swift --version 2>/dev/null | sed -n "s/.*Swift version \([0-9.]*\).*/\1/p" | head -n 1)
    echo "inside: Swift $version"
    case "$version" in
        "$promised" | "$promised".*) ;;
        *) echo "Package.swift promises Swift $promised, about which this would say nothing" >&2; exit 1 ;;
    esac
    swift build --quiet --disable-automatic-resolution "$@"
    echo "lcp builds with Swift $version"
' sh "$bound" "$promised" $products || fail "the oldest Swift that is promised does not build lcp: see above"
