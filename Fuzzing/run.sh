#!/bin/sh
# Runs libFuzzer on every parser, for SECONDS in all, and ends with 1 where something was found.
#   Fuzzing/run.sh [SECONDS] [PARSER …]
# What was learned stays in Fuzzing/.build/corpus, and the next run goes on from there.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-600}
[ $# -gt 0 ] && shift
case "$seconds" in "" | *[!0-9]*) echo "fuzz: the time is a number of seconds, not $seconds" >&2; exit 2 ;; esac

echo "building the fuzzer; the first time takes a few minutes"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Without stripping: the linker would take the coverage counters for dead.
if ! swift build --package-path Fuzzing -c release --sanitize=fuzzer --sanitize=address --disable-dead-strip >"$log" 2>&1
then
    cat "$log" >&2
    exit 2
fi

fuzz=Fuzzing/.build/release/fuzz
work=Fuzzing/.build/corpus
found=Fuzzing/.build/found
mkdir -p "$work" "$found"
# Traps are libFuzzer's to report.
export SWIFT_BACKTRACE=enable=no
export ASAN_OPTIONS=quarantine_size_mb=32:detect_leaks=0
[ $# -eq 0 ] && set -- $("$fuzz" list)
each=$((seconds / $#))
[ "$each" -gt 0 ] || each=1
status=0
for parser in "$@"; do
    "$fuzz" prepare "$parser" Tests/Fixtures "$work/$parser"
    [ -d "Fuzzing/corpus/$parser" ] && cp "Fuzzing/corpus/$parser"/* "$work/$parser/"
    # A dictionary without words is none.
    words=
    [ -s "$work/$parser.words" ] && words="-dict=$work/$parser.words"
    if "$fuzz" "$parser" -max_total_time="$each" -max_len=65536 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        $words -artifact_prefix="$found/$parser-" "$work/$parser" >"$log" 2>&1
    then
        all=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
        echo "$parser: $all executions, $rate a second"
    else
        status=1
        tail -n 40 "$log"
        file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
        echo "$parser: broken by ${file:-an input}; try it again with: SWIFT_BACKTRACE=enable=no $fuzz $parser ${file:-}"
        echo "Once it is mended, keep the file in Fuzzing/corpus/$parser: make test reads it."
    fi
done
exit $status
