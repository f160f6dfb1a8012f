#!/bin/sh
# Builds dedup.wasm, or the file that is named, to the same bytes on every machine with Debian 12's compiler:
#     apt-get install rustc libstd-rust-dev-wasm32 lld
# Any newer rustc with the target wasm32-unknown-unknown builds a working agent, of other bytes: RUSTC=rustc ./build.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
sdk=$(cd "$here/../../../sdk/rust" && pwd -P)
output=$(realpath "${1:-$here/dedup.wasm}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Neither where the sources lie nor where they are built may leave a trace in the module.
compile() {
    "${RUSTC:-/usr/bin/rustc}" --edition 2021 --target wasm32-unknown-unknown \
        -C opt-level=2 -C panic=abort -C codegen-units=1 -C lto -C embed-bitcode -C strip=symbols \
        --remap-path-prefix "$here=/dedup" --remap-path-prefix "$sdk=/tickwork" --remap-path-prefix "$scratch=/build" "$@"
}
cd "$scratch"
compile --crate-type rlib --crate-name tickwork "$sdk/src/lib.rs" -o libtickwork.rlib
compile --crate-type cdylib --crate-name dedup --extern tickwork=libtickwork.rlib "$here/src/lib.rs" -o dedup.wasm
mv dedup.wasm "$output"
