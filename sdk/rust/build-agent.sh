#!/bin/sh
# Builds a Rust agent: build-agent.sh SOURCE.rs OUT.wasm
#
# The same compiler gives the same bytes in any directory. It is $RUSTC if set, or else the first of `rustc`
# and /usr/bin/rustc that has the target wasm32-unknown-unknown.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 SOURCE.rs OUT.wasm" >&2
    exit 2
fi
source=$1
output=$2
target=wasm32-unknown-unknown

if [ ! -f "$source" ]; then
    echo "$0: $source: no such file" >&2
    exit 2
fi

has_target() {
    command -v "$1" >/dev/null 2>&1 || return 1
    library=$("$1" --print target-libdir --target "$target" 2>/dev/null) || return 1
    ls "$library"/libcore-*.rlib >/dev/null 2>&1
}

compiler=
if [ -n "${RUSTC:-}" ]; then
    candidates=$RUSTC
else
    candidates='rustc /usr/bin/rustc'
fi
for candidate in $candidates; do
    if has_target "$candidate"; then
        compiler=$candidate
        break
    fi
done
if [ -z "$compiler" ]; then
    echo "$0: no rustc with the target $target (looked at: $candidates). Install one:" >&2
    echo "  Debian, Ubuntu: apt-get install rustc libstd-rust-dev-wasm32 lld" >&2
    echo "  rustup:         rustup target add $target" >&2
    exit 3
fi

sdk=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
directory=$(CDPATH='' cd -- "$(dirname -- "$source")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

common="--edition 2021 --target $target -C opt-level=s -C panic=abort -C codegen-units=1"
# Word splitting is meant: no flag holds a space.
# shellcheck disable=SC2086
"$compiler" $common --crate-name tickwork --crate-type rlib \
    --remap-path-prefix "$sdk=tickwork" -o "$scratch/libtickwork.rlib" "$sdk/src/lib.rs"
# A stack of 128 KiB instead of 1 MiB: every agent has one.
# shellcheck disable=SC2086
"$compiler" $common --crate-name agent --crate-type cdylib -C lto=fat -C strip=symbols \
    -C link-arg=-zstack-size=131072 \
    --remap-path-prefix "$directory=agent" --remap-path-prefix "$scratch=scratch" \
    --extern "tickwork=$scratch/libtickwork.rlib" -o "$scratch/agent.wasm" "$directory/$(basename -- "$source")"
cp "$scratch/agent.wasm" "$output"
