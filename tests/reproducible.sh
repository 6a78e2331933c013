#!/bin/sh
# Builds the same sources twice, in two folders, zones, languages and orders, and compares the bytes of what is installed.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

copy()
{
    mkdir -p "$1"
    (cd "$here" && tar -c --exclude=./build --exclude=./.git --exclude=./data .) | tar -x -C "$1"
}
copy "$work/a"
copy "$work/another/place"
make -C "$work/a" DEPS=: DESTDIR="$work/out-a" install >/dev/null
find "$work/another" -exec touch -d '2001-02-03 04:05' {} +
(umask 027 && TZ=Pacific/Kiritimati LC_ALL=C HOME=/nonexistent USER=nobody \
    make -C "$work/another/place" -j1 DEPS=: DESTDIR="$work/out-b" install >/dev/null)
for out in a b; do
    (cd "$work/out-$out" && find . -type f -exec sha256sum {} + | sort -k 2) >"$work/$out.sums"
done
diff "$work/a.sums" "$work/b.sums"
echo "reproducible: $(wc -l <"$work/a.sums") files are the same"
