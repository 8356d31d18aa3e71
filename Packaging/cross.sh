# Compiles for arm64 on amd64; sourced by build.sh. The compiler is Debian sid's, because that system has the same version of Swift's
# library for arm64; headers and libraries are those of Debian 13.

# cross_compile TARGET
cross_compile() {
    make_root sid "$root_sid" ca-certificates git pkg-config swiftlang libswiftlang libc6-dev
    architectures=amd64,arm64
    make_root trixie "$root_arm64" debhelper make file man-db binutils binutils-aarch64-linux-gnu libc6-dev:arm64 \
        libgcc-14-dev:arm64 libstdc++-14-dev:arm64 $(for library in $libraries; do echo "$library:arm64"; done)
    architectures=
    sdk=$roots/lcp-swift-arm64
    swift_version=$(in_root "$root_sid" dpkg-query -W -f '${Version}' swiftlang)
    if [ ! -f "$sdk.version" ] || [ "$(cat "$sdk.version")" != "$swift_version" ]; then
        echo "fetching Swift's library for arm64, $swift_version"
        rm -rf "$sdk" "$sdk.version"
        mkdir -p "$sdk"
        bound="$sdk=/sdk" in_root "$root_sid" sh -euc '
            dpkg --add-architecture arm64
            apt-get -o Acquire::Check-Valid-Until=false update -qq
            cd /tmp
            apt-get download -qq "swiftlang:arm64=$1" "libswiftlang:arm64=$1"
            for package in ./*.deb; do dpkg-deb -x "$package" /sdk; done
            # The compiler itself is not needed.
            rm -rf /sdk/usr/bin /sdk/usr/libexec/swift/*/bin /sdk/usr/libexec/swift/bin
        ' sh "$swift_version" || fail "Swift's library for arm64 could not be fetched: is there a network?"
        echo "$swift_version" >"$sdk.version"
    fi
    echo "compiling for $1"
    cp -a "$source" "$work/$1"
    bundle=$work/$1/sdks/lcp-arm64.artifactbundle
    mkdir -p "$bundle/lcp-arm64"
    resources=$(cd "$sdk" && find . -type d -path '*/lib/swift_static' | head -n 1 | sed 's,^\./,,')
    [ -n "$resources" ] || fail "Swift's package for arm64 has no static library"
    cat >"$bundle/info.json" <<END
{"schemaVersion": "1.0", "artifacts": {"lcp-arm64": {"type": "swiftSDK", "version": "1",
 "variants": [{"path": "lcp-arm64"}]}}}
END
    cat >"$bundle/lcp-arm64/swift-sdk.json" <<END
{"schemaVersion": "4.0", "targetTriples": {"aarch64-unknown-linux-gnu": {
 "sdkRootPath": "/sysroot", "swiftResourcesPath": "/sdk/${resources%_static}", "swiftStaticResourcesPath": "/sdk/$resources",
 "toolsetPaths": ["toolset.json"]}}}
END
    echo '{"schemaVersion": "1.0", "swiftCompiler": {"extraCLIOptions": ["-use-ld=lld"]}}' >"$bundle/lcp-arm64/toolset.json"
    # The linker's driver looks for Swift's library in the sysroot.
    bound="$work/$1=/lcp $root_arm64=/sysroot $sdk=/sdk $sdk/${resources%_static}=/sysroot/usr/lib/swift
        $sdk/$resources=/sysroot/usr/lib/swift_static" in_root "$root_sid" env LCP_COMMIT="$commit" SWIFT_DETERMINISTIC_HASHING=1 \
        PKG_CONFIG_LIBDIR=/sysroot/usr/lib/aarch64-linux-gnu/pkgconfig:/sysroot/usr/share/pkgconfig PKG_CONFIG_SYSROOT_DIR=/sysroot \
        setarch -R sh -euc 'cd /lcp && swift build --quiet --swift-sdks-path /lcp/sdks --swift-sdk lcp-arm64 "$@"' sh $flags \
        >"$work/compile.log" 2>&1 || { cat "$work/compile.log" >&2; fail "lcp could not be compiled for $1"; }
    cp "$work/$1/.build/release/lcp" "$work/lcp-$1"
    rm -rf "${work:?}/$1"
}
