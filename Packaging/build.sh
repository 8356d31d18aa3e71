#!/bin/sh
# Makes Debian packages, and a tarball of each, from what is committed: make packages
#   Packaging/build.sh [--mirror URL] [--cache FOLDER] [--out FOLDER] [TARGET…]
# TARGET is debian12-amd64, debian13-amd64 or debian13-arm64; all of them by default. It runs as root on an amd64 Debian or Ubuntu
# with mmdebstrap. For amd64 a root of the release compiles with this machine's Swift; for arm64 one of Debian sid does with that
# system's, against the libraries of Debian 13. The same commit gives the same bytes. 8 GB of disk; the roots stay in the cache.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(dirname "$here")
. "$tree/Scripts/debian-root.sh"

mirror= cache=$tree/.build/roots out=$tree/.build/packages targets=
while [ $# -gt 0 ]; do
    case "$1" in
        --mirror) mirror=${2:?--mirror needs a URL}; shift ;;
        --cache) cache=${2:?--cache needs a folder}; shift ;;
        --out) out=${2:?--out needs a folder}; shift ;;
        debian12-amd64 | debian13-amd64 | debian13-arm64) targets="$targets $1" ;;
        *) fail "there is no target $1: debian12-amd64, debian13-amd64 or debian13-arm64" ;;
    esac
    shift
done
targets=${targets:-debian12-amd64 debian13-amd64 debian13-arm64}
wants() { case " $targets " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
command -v swift >/dev/null 2>&1 || fail "there is no Swift on this machine"
[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || fail "the packages are made on an amd64 Debian or Ubuntu"
git -C "$tree" rev-parse HEAD >/dev/null 2>&1 || fail "$tree is no git checkout"
check_root_maker
open_work_folder "$cache"
mkdir -p "$out"
out=$(cd "$out" && pwd)
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")

version=$(sed -n 's/.*current = "\(.*\)".*/\1/p' "$tree/Sources/LCPPipeline/Session/LCPVersion.swift")
commit=$(git -C "$tree" rev-parse --short=12 HEAD)
epoch=$(git -C "$tree" log -1 --format=%ct)
[ -z "$(git -C "$tree" status --porcelain --untracked-files=no)" ] || echo "what is not committed is left out"
echo "lcp $version of commit $commit"

# The sources as they are committed, with the packages that lcp depends on: a folder for each target, seen as /lcp from within.
source=$work/source
mkdir "$source"
git -C "$tree" archive HEAD | tar -C "$source" -xf -
echo "fetching the packages that lcp depends on"
run TERM swift package --package-path "$source" resolve >"$work/resolve.log" 2>&1 ||
    { cat "$work/resolve.log" >&2; fail "the packages could not be fetched: is there a network?"; }

libraries=$("$tree/Scripts/setup.sh" packages | tr ' ' '\n' | grep -- '-dev$')
tools="ca-certificates git binutils pkg-config libc6-dev debhelper make file man-db"
flags="-c release --static-swift-stdlib -Xlinker --no-export-dynamic -Xswiftc -enforce-exclusivity=unchecked --product lcp
    --disable-automatic-resolution --disable-sandbox"

root12=$roots/lcp-packages-12 root13=$roots/lcp-packages-13 root_sid=$roots/lcp-packages-sid root_arm64=$roots/lcp-packages-arm64
if wants debian12-amd64; then
    make_root bookworm "$root12" $tools libgcc-12-dev libstdc++-12-dev libncurses6 libxml2 libedit2 libcurl4 libsqlite3-0 $libraries
fi
# For arm64, too, the program describes itself here.
if wants debian13-amd64 || [ "$targets" = " debian13-arm64" ]; then
    make_root trixie "$root13" $tools libgcc-14-dev libstdc++-14-dev libncurses6 libxml2 libedit2 libcurl4t64 libsqlite3-0 $libraries
fi

# compile ROOT TARGET: this machine's Swift in a root. The path of the sources is the same everywhere, because it is in the program;
# and no order depends on chance, as that of sets in the compiler's own programs does otherwise, and that of what is sorted by its address.
compile() {
    echo "compiling for $2"
    cp -a "$source" "$work/$2"
    bound="$work/$2=/lcp $toolchain" in_root "$1" env LCP_COMMIT="$commit" SWIFT_DETERMINISTIC_HASHING=1 PATH="$toolchain/bin:/usr/bin:/bin" \
        setarch -R sh -euc 'cd /lcp && swift build --quiet "$@"' sh $flags >"$work/compile.log" 2>&1 ||
        { cat "$work/compile.log" >&2; fail "lcp could not be compiled for $2"; }
    cp "$work/$2/.build/release/lcp" "$work/lcp-$2"
}

. "$here/cross.sh"

# package ROOT TARGET ARCHITECTURE STRIP
package() {
    echo "packaging for $2"
    release=${2#debian} release=${release%-*}
    folder=$work/package-$2
    stage=$folder/stage
    mkdir -p "$stage/usr/bin" "$stage/usr/share/lcp" "$stage/usr/lib/systemd/system" "$stage/usr/share/man/man1" "$stage/etc/lcp" \
        "$stage/usr/share/bash-completion/completions" "$stage/usr/share/zsh/vendor-completions" \
        "$stage/usr/share/fish/vendor_completions.d"
    cp "$work/lcp-$2" "$stage/usr/bin/lcp"
    cp -R "$source/Models" "$source/Brokers" "$source/Configs" "$stage/usr/share/lcp/"
    find "$stage" -name .gitignore -delete
    cp "$source"/Packaging/systemd/*.service "$stage/usr/lib/systemd/system/"
    cp "$work"/man/*.1 "$stage/usr/share/man/man1/"
    cp "$work/completions/lcp.bash" "$stage/usr/share/bash-completion/completions/lcp"
    cp "$work/completions/lcp.zsh" "$stage/usr/share/zsh/vendor-completions/_lcp"
    cp "$work/completions/lcp.fish" "$stage/usr/share/fish/vendor_completions.d/lcp.fish"
    # As every message comes in two pieces, mosquitto as it is waits 40 ms for each.
    mkdir -p "$stage/etc/mosquitto/conf.d"
    echo "set_tcp_nodelay true" >"$stage/etc/mosquitto/conf.d/lcp.conf"
    mkdir -p "$stage/usr/share/doc/lcp"
    cp -R "$source/README.md" "$source/Documentation" "$stage/usr/share/doc/lcp/"
    find "$stage" -type d -exec chmod 755 {} + -o -type f -perm /111 -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
    cp -R "$source/Packaging/debian" "$folder/debian"
    cp "$source/CHANGELOG.md" "$folder/CHANGELOG.md"
    {
        echo "lcp ($version-1+deb$release) stable; urgency=medium"
        echo
        echo "  * What changed is told in /usr/share/doc/lcp/changelog.gz. Commit $commit."
        echo
        echo " -- The lcp founders <lcp@localhost>  $(LC_ALL=C date -u -d "@$epoch" '+%a, %d %b %Y %H:%M:%S +0000')"
    } >"$folder/debian/changelog"
    bound="$folder=/package" in_root "$1" sh -euc '
        cd /package
        # What the compiler remembers of its own work is not the same twice, and with it the identifier made of all bytes.
        $2 --strip-unneeded --remove-section=.swift_modhash --remove-section=.note.gnu.build-id stage/usr/bin/lcp
        # What a file is called is no reason for other bytes.
        find . -exec touch -h -d "@$3" {} +
        tar --sort=name --mtime="@$3" --owner=0 --group=0 --numeric-owner --transform "s,^\./,lcp-$4/," -C stage/usr -cf - . |
            gzip -9n >../tarball.tmp && mv ../tarball.tmp /package/tarball
        dpkg-buildpackage -a"$1" -b -us -uc -d >build.log 2>&1 || { cat build.log >&2; exit 1; }
        mv ../*.deb /package/
    ' sh "$3" "$4" "$epoch" "$version" || fail "the package for $2 could not be made"
    mv "$folder"/*.deb "$out/"
    mv "$folder/tarball" "$out/lcp-$version-$2.tar.gz"
}

# Manual pages and completions, by the program itself.
describe() {
    mkdir -p "$work/man" "$work/completions"
    bound="$work/$2=/lcp" in_root "$1" /lcp/.build/release/lcp --experimental-dump-help >"$work/help.json"
    python3 "$source/Packaging/man.py" "$version" "$(date -u -d "@$epoch" +%Y-%m-%d)" "$work/man" <"$work/help.json"
    for shell in bash zsh fish; do
        bound="$work/$2=/lcp" in_root "$1" /lcp/.build/release/lcp --generate-completion-script $shell \
            >"$work/completions/lcp.$shell"
    done
}

described=
for target in debian12-amd64 debian13-amd64; do
    # For arm64 the pages come from here, too.
    wants "$target" || { [ "$target" = debian13-amd64 ] && [ -z "$described" ]; } || continue
    root=$root13
    [ "$target" = debian13-amd64 ] || root=$root12
    compile "$root" "$target"
    [ -n "$described" ] || describe "$root" "$target"
    described=yes
    ! wants "$target" || package "$root" "$target" amd64 strip
    rm -rf "${work:?}/$target"
done
if wants debian13-arm64; then
    cross_compile debian13-arm64
    package "$root_arm64" debian13-arm64 arm64 aarch64-linux-gnu-strip
fi
echo
(cd "$out" && sha256sum ./*.deb ./*.tar.gz && ls -lh ./*.deb ./*.tar.gz | awk '{ print $5 "  " $9 }')
