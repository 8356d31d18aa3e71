#!/bin/sh
# Sees that every module imports only what Package.swift declares for it, that Package.swift declares only what is imported and
# what the table in Documentation/architecture.md allows, and that no row of that table uses a row below it.
set -eu
cd "${1:-$(dirname "$0")/..}"
table=Documentation/architecture.md
for file in Package.swift "$table"; do
    [ -r "$file" ] || { echo "check-imports: cannot read $file" >&2; exit 1; }
done

{
    # "module NAME" and "declared NAME DEPENDENCY", from Package.swift.
    tr '\n' ' ' <Package.swift | sed 's/\(room(\|\.executableTarget(\|\.testTarget(\|\.target(\|\.systemLibrary(\|system(\)/\n\1/g' |
        sed -n '/^\(room(\|system(\)  *"\|^\(room(\|system(\)"\|^\.[A-Za-z]*( *name: "/p' | awk '
        {
            if (!match($0, /"[A-Za-z0-9]+"/)) next
            name = substr($0, RSTART + 1, RLENGTH - 2)
            print "module", name
            if ($0 ~ /^(\.systemLibrary|system)\(/) next
            if (!match($0, /\[[^]]*\]/)) next
            list = substr($0, RSTART, RLENGTH)
            gsub(/package: "[^"]*"/, "", list)
            while (match(list, /"[A-Za-z0-9]+"/)) {
                print "declared", name, substr(list, RSTART + 1, RLENGTH - 2)
                list = substr(list, RSTART + RLENGTH)
            }
        }'
    # "imported NAME MODULE FILE", from the sources.
    find Sources Tests -name '*.swift' -exec awk '
        /^((@testable|@preconcurrency|public|package|internal|private) )*import [A-Za-z]/ {
            split(FILENAME, path, "/")
            print "imported", path[2], $NF, FILENAME
        }' {} +
    # "allowed NAME MODULE", from the rows: | `NAME` | what it is | `MODULE`, `MODULE` |
    awk -F'|' '
        /^## / { isTable = $0 == "## Modules" }
        isTable && /^\| `/ {
            count = split($2, names, "`")
            for (i = 2; i <= count; i += 2) {
                print "row", names[i]
                uses = split($(NF - 1), modules, "`")
                for (j = 2; j <= uses; j += 2) print "allowed", names[i], modules[j]
            }
        }' "$table"
} | awk -v table="$table" '
    BEGIN {
        count = split("Dispatch Foundation FoundationEssentials FoundationXML Glibc Synchronization Testing", known, " ")
        for (i = 1; i <= count; i++) comesWithSwift[known[i]] = 1
        count = 0
    }
    function fail(text) { print "check-imports: " text; failed = 1 }
    $1 == "module" { isModule[$2] = 1 }
    $1 == "row" {
        if (!isModule[$2]) fail(table " has a row for " $2 ", which Package.swift does not know")
        row[$2] = ++rows
        may[$2, "Platform"] = 1
    }
    $1 == "allowed" {
        if (!isModule[$3] || $3 in row && row[$3] >= row[$2] || !($3 in row) && $3 !~ /^C[A-Z]/)
            fail(table ": " $2 " uses " $3 ", which does not stand above it")
        may[$2, $3] = 1
        for (key in may) {
            split(key, pair, SUBSEP)
            if (pair[1] == $3) may[$2, pair[2]] = 1
        }
    }
    $1 == "declared" { declared[$2, $3] = 1; order[++count] = $2 SUBSEP $3 }
    $1 == "imported" {
        used[$2, $3] = 1
        imports[++found] = $2 SUBSEP $3 SUBSEP $4
    }
    END {
        for (i = 1; i <= found; i++) {
            split(imports[i], part, SUBSEP)
            if (part[1] != part[2] && !(part[2] in comesWithSwift) && !((part[1], part[2]) in declared))
                fail(part[3] " imports " part[2] ", which Package.swift does not declare for " part[1])
        }
        for (i = 1; i <= count; i++) {
            split(order[i], part, SUBSEP)
            name = part[1]
            # A test may use everything, and a target that is only built beside it is not imported; C includes and imports nothing.
            if (name ~ /Tests$/ || name ~ /^C[A-Z]/) continue
            if (!((name, part[2]) in used))
                fail("Package.swift declares " part[2] " for " name ", which does not import it")
            if (!isModule[part[2]]) continue
            if (!(name in row)) { fail(name " has no row in " table); continue }
            if (!((name, part[2]) in may)) fail(name " may not use " part[2] ": see the table in " table)
        }
        if (!rows || !count || !found) fail("nothing was found to check: is this the project?")
        exit failed
    }' || exit 1
