#!/usr/bin/env bash
# Fuzzes the kernel's decoding with libFuzzer, under the address and undefined-behaviour sanitizers.
# Usage: fuzz.sh SECONDS CORPUS. New inputs are added to CORPUS; an input that fails is kept beside it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
kernel=$here/../../src/tickwork/pool/kernel
seconds=$1
corpus=$2
mkdir -p "$corpus"
clang -std=c11 -O1 -g -Wall -Wextra -Werror -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
  -I "$kernel" "$here/lift_fuzz.c" "$kernel"/{lift,outbox,record,routes,settle,utf8}.c -lm -o "$corpus.fuzz"
exec "$corpus.fuzz" -max_total_time="$seconds" -max_len=4096 -seed=1 -print_final_stats=1 \
  -artifact_prefix="$corpus." "$corpus"
