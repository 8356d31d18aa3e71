# arm64 programs on amd64; sourced by test.sh.

# emulate COMMAND…
# Runs it where programs for arm64 run, too: binfmt_misc is a user name space's own since Linux 6.7, so that nothing is registered
# with the system.
emulate() {
    start=$work/start
    mkfifo "$start"
    unshare --user --mount --propagation private sh -euc '
        read go <"$1"
        shift
        mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
        # The header of an ELF file for aarch64; the flag F opens the emulator now, which is not there in a root.
        printf "%s" ":lcp-aarch64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F" \
            >/proc/sys/fs/binfmt_misc/register
        exec "$@"
    ' sh "$start" "$@" &
    child=$! child_signal=TERM
    own=$(readlink /proc/self/ns/user)
    while [ "$(readlink /proc/$child/ns/user)" = "$own" ]; do sleep 0.05; done
    # All users of a root, and not only one: packages have files of several.
    echo "0 0 65536" >/proc/$child/uid_map
    echo "0 0 65536" >/proc/$child/gid_map
    echo go >"$start"
    status=0
    wait $child || status=$?
    child=
    rm -f "$start"
    return $status
}

# Says why nothing can be emulated; says nothing where it can.
why_not_emulated() {
    [ -x /usr/bin/qemu-aarch64-static ] || { echo "there is no qemu-aarch64-static: apt-get install qemu-user-static"; return; }
    emulate true 2>/dev/null || echo "this system's Linux has no binfmt_misc for a name space (6.7 and later have)"
}

# The answers of both architectures to the same images, and a pipeline with workers of both.
compare_architectures() {
    cat >"$work/predict.sh" <<'END'
set -eu
apt-get -o Acquire::Check-Valid-Until=false update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1" >/dev/null 2>&1
for model in /usr/share/lcp/Models/*/; do
    model=$(basename "$model")
    for file in /checks/images/$(case "$model" in lenet*) echo grey ;; *) echo colour ;; esac)*; do
        lcp predict "$model" "$file" --json | sed "s/^{/{\"model\":\"$model\",/"
    done
done
END
    mkdir -p "$work/images"
    python3 -c '
import random, sys
random.seed(24)
for name, size in [("grey", 784), ("colour", 3072)]:
    for index in range(10):
        open(f"{sys.argv[1]}/{name}{index}.raw", "wb").write(random.randbytes(size))' "$work/images"
    printf '#!/bin/sh\nexit 101\n' >"$work/policy-rc.d"
    chmod +x "$work/policy-rc.d"
    for target in debian13-amd64 debian13-arm64; do
        root=$roots/lcp-clean-$target
        architectures=${target##*-}
        make_root trixie "$root" ca-certificates
        architectures=
        copy=$work/compare-$target bound="$shelf=/packages $work=/checks" in_root "$root" sh -euc '
            cp /checks/policy-rc.d /usr/sbin/policy-rc.d
            exec sh /checks/predict.sh "$1"' sh "/packages/$(basename "$(file_of $target)")" >"$work/$target.json" ||
            fail "$target: the models cannot be evaluated"
    done
    python3 - "$work/debian13-amd64.json" "$work/debian13-arm64.json" <<'END' || fail "the answers of arm64 are not those of amd64"
import json, sys
one, other = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
assert len(one) == len(other) >= 80, (len(one), len(other))
worst, where = 0, ""
for a, b in zip(one, other):
    assert (a["model"], a["file"]) == (b["model"], b["file"])
    scale = max(abs(x) for x in a["logits"])
    error = max(abs(x - y) for x, y in zip(a["logits"], b["logits"])) / scale
    if error > worst:
        worst, where = error, a["model"]
print(f"answers of arm64 and amd64: {len(one)} of {len(set(x['model'] for x in one))} models, at most {worst:.1e} of the largest apart ({where})")
sys.exit(worst > 1e-5)
END
    mixed_pipeline
}

# Two branches on each architecture, 40 frames at QoS 1.
mixed_pipeline() {
    port=$((20000 + $$ % 20000))
    words="--broker mqtt://127.0.0.1:$port --pipeline mixed"
    copy=$work/compare-debian13-arm64 bound=$work=/checks in_root "$roots/lcp-clean-debian13-arm64" sh -euc '
        roles=
        for branch in 0 1; do
            lcp worker --branch $branch --model lenet-split4 "$@" &
            roles="$roles $!"
        done
        while [ ! -e /checks/done ]; do sleep 0.2; done
        kill $roles
        wait' sh $words >"$work/arm64.log" 2>&1 &
    emulated=$!
    copy=$work/compare-debian13-amd64 bound=$work=/checks in_root "$roots/lcp-clean-debian13-amd64" sh -euc '
        port=$1
        shift
        lcp broker --port "$port" --memory-only --quiet >/dev/null &
        roles=$!
        for branch in 2 3; do
            lcp worker --branch $branch --model lenet-split4 "$@" &
            roles="$roles $!"
        done
        lcp aggregator --model lenet-split4 --deadline 5000 "$@" &
        roles="$roles $!"
        for try in $(seq 300); do
            lcp status --check "$@" >/dev/null 2>&1 && break
            sleep 0.2
        done
        lcp watch --json --count 40 "$@" >/checks/predictions &
        watch=$!
        sleep 1
        lcp sensor --source drawn --rate 20 --count 40 --qos 1 "$@"
        wait $watch
        touch /checks/done
        # The workers of the other architecture take their leave first.
        sleep 2
        kill $roles
        wait' sh $port $words >"$work/amd64.log" 2>&1 || { cat "$work/amd64.log" "$work/arm64.log" >&2; fail "the pipeline of both failed"; }
    wait $emulated || true
    grep -c '"missing":\[\]' "$work/predictions" | grep -qx 40 ||
        { cat "$work/predictions" "$work/arm64.log" >&2; fail "frames lack branches"; }
    echo "a pipeline of two arm64 and two amd64 workers: 40 of 40 frames, from all branches"
}
