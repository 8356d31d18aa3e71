#!/bin/sh
# Refuses an array that cannot be built, in a sentence: sizes.sh ROWS COLUMNS WORD ENTRIES LINES TOGETHER
set -eu

fail() {
    echo "$*" >&2
    exit 1
}

one_of() { # NAME VALUE CHOICES
    for choice in $3; do
        [ "$2" = "$choice" ] && return
    done
    fail "$1 is $2, and can be $(echo "$3" | sed 's/ /, /g')"
}

one_of ROWS "$1" "4 8 16 32 64 128"
one_of WORD "$3" "8 16"
one_of ENTRIES "$4" "4 8 16 32 64 128 256"
one_of LINES "$5" "2 3 4 5 6 7 8"
case $2 in
'' | *[!0-9]*) fail "COLUMNS is $2, and is a whole number" ;;
esac
[ "$2" -ge 8 ] && [ "$2" -le 512 ] && [ $(($2 % 8)) = 0 ] && [ $(($2 % $1)) = 0 ] ||
    fail "COLUMNS is $2, and can be a multiple of 8 and of ROWS ($1), up to 512"
case $6 in
'' | 0* | *[!0-9]*) fail "TOGETHER is $6, and is a whole number above 0" ;;
esac
[ $(($2 / 8 % $6)) = 0 ] && [ $(($6 * $1 * $3 % 64)) = 0 ] ||
    fail "TOGETHER is $6: it divides the $(($2 / 8)) columns of a block, and TOGETHER x ROWS x WORD ($(($6 * $1 * $3))) is a multiple of 64"
