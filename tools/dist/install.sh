#!/bin/sh
# Installs keel @VERSION@ for this user, after a check of the archive's SHA-256 sum.
#
#   EVENKEEL_URL          the folder of the archives (default: @URL@)
#   EVENKEEL_INSTALL_DIR  where keel goes (default: ~/.local/bin)
set -eu

version=@VERSION@
url=${EVENKEEL_URL:-@URL@}
into=${EVENKEEL_INSTALL_DIR:-${HOME:?}/.local/bin}

fail() {
	echo "install keel: $1" >&2
	[ -z "${2:-}" ] || echo "hint: $2" >&2
	exit 1
}

[ -n "$url" ] || fail "no address to download from" "set EVENKEEL_URL to the folder of the archives"
case $(uname -s) in
Linux) system=linux ;;
Darwin) system=darwin ;;
*) fail "$(uname -s) is not supported by this script" "unpack the archive of your platform by hand" ;;
esac
case $(uname -m) in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=arm64 ;;
*) fail "no archive for the processor $(uname -m)" "build keel from source: go build ./cmd/keel" ;;
esac
archive=keel-v$version-$system-$arch.tar.gz

if command -v curl >/dev/null; then
	download() { curl --fail --silent --show-error --location --output "$2" "$1"; }
elif command -v wget >/dev/null; then
	download() { wget --quiet --output-document="$2" "$1"; }
else
	fail "neither curl nor wget is installed" "install one of them"
fi
if command -v sha256sum >/dev/null; then
	sum() { sha256sum "$1" | cut -d ' ' -f 1; }
elif command -v shasum >/dev/null; then
	sum() { shasum -a 256 "$1" | cut -d ' ' -f 1; }
else
	fail "neither sha256sum nor shasum is installed" "install one of them"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
download "$url/SHA256SUMS" "$work/SHA256SUMS" || fail "SHA256SUMS cannot be downloaded from $url" "check EVENKEEL_URL"
want=$(awk -v name="$archive" '$2 == name { print $1 }' "$work/SHA256SUMS")
[ -n "$want" ] || fail "SHA256SUMS has no sum of $archive" "choose another version"
download "$url/$archive" "$work/$archive" || fail "$archive cannot be downloaded from $url" "check EVENKEEL_URL"
got=$(sum "$work/$archive")
[ "$got" = "$want" ] || fail "the SHA-256 sum of $archive is $got, and should be $want" "do not use this file; download again"

tar -xzf "$work/$archive" -C "$work" keel
mkdir -p "$into"
# The new keel replaces the old one in one step, so that an interrupted install leaves a whole one.
cp "$work/keel" "$into/.keel.new"
chmod 755 "$into/.keel.new"
mv -f "$into/.keel.new" "$into/keel"
echo "keel $version is in $into"
case :$PATH: in
*:"$into":*) ;;
*) echo "hint: add $into to PATH" ;;
esac
