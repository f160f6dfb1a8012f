#!/usr/bin/env bash
# Builds the kernel with gcc's sanitizers and runs it: alone, and under the tests that attack it.
# Usage: sanitize.sh PYTHON [address|thread ...]. What it builds goes to build/sanitize.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=$1
shift
kinds=("$@")
[ ${#kinds[@]} -gt 0 ] || kinds=(address thread)
kernel=src/tickwork/pool/kernel
out=$PWD/build/sanitize
rounds=50
flags=(-std=c11 -O1 -g -Wall -Wextra -Wshadow -Wconversion -Werror -pthread)
core=("$kernel"/{lift,lower,outbox,record,routes,settle,turn,utf8,wait,wave,workers}.c)
include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
# Without those that measure the process: a sanitizer keeps what was freed.
attacked=(tests/attacks tests/pool/test_kernel.py tests/laws/test_pools_agree.py tests/laws/test_plain_ticks.py)

# Ten thousand memories do not fit into the address space that the thread sanitizer leaves, and it does not
# see what ONNX Runtime's threads, which are not instrumented, do to synchronise.
example="--deselect=tests/laws/test_pools_agree.py::test_an_example_is_the_same_on_every_pool"
declare -A left_out=([thread]="$example[epidemic] $example[market]" [address]=)

# The engine handles these signals itself: it is how a guest's trap is noticed.
signals=handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0
export ASAN_OPTIONS=$signals:detect_leaks=0:abort_on_error=1
export TSAN_OPTIONS=$signals:report_signal_unsafe=0:halt_on_error=1
# The engine and Python are not instrumented, so what they do among themselves would look like races.
suppressed=$out/suppressed.txt
mkdir -p "$out"
printf '%s\n' called_from_lib:_libwasmtime.so race:_libwasmtime.so >"$suppressed"
TSAN_OPTIONS+=:suppressions=$suppressed
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

for kind in "${kinds[@]}"; do
  sanitizers=$kind
  libraries=("lib${kind:0:1}san.so")
  if [ "$kind" = address ]; then
    sanitizers=address,undefined
    libraries+=(libubsan.so)
  fi
  mkdir -p "$out/$kind"
  for wait in "" -DTW_WAIT_CONDVAR; do
    echo "sanitize: $sanitizers, the kernel alone ${wait:+(with condition variables)}"
    gcc "${flags[@]}" $wait "-fsanitize=$sanitizers" -fno-sanitize-recover=all -I "$kernel" \
      tests/kernel/stress.c "${core[@]}" -o "$out/$kind/stress"
    ASAN_OPTIONS=detect_leaks=1 "$out/$kind/stress" "$rounds"
  done

  echo "sanitize: $sanitizers, ${attacked[*]}"
  gcc "${flags[@]}" -fPIC -shared "-fsanitize=$sanitizers" -I "$include" "$kernel"/*.c \
    -o "$out/$kind/_kernel.so"
  # Every Python that finds this folder takes the kernel from it; so do those that the tests start.
  cat > "$out/$kind/sitecustomize.py" <<'END'
import importlib.util
import pathlib
import sys

name = "tickwork.pool._kernel"
path = pathlib.Path(__file__).with_name("_kernel.so")
spec = importlib.util.spec_from_file_location(name, path)
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
END
  preload=
  for library in "${libraries[@]}"; do
    preload+="$(gcc -print-file-name="$library") "
  done
  LD_PRELOAD=$preload PYTHONPATH=$out/$kind PYTHONMALLOC=malloc \
    "$python" -m pytest -q -p no:cacheprovider --ignore tests/attacks/test_leaks.py ${left_out[$kind]} "${attacked[@]}"
done
