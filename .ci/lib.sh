# Shared by .ci/run and its stages.
# shellcheck shell=bash disable=SC2034
export CARGO_NET_RETRY=5 CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never RUST_BACKTRACE=1
# Names of functions are enough for a panic, and without the rest everything is built in half the time.
export CARGO_PROFILE_DEV_DEBUG=0
TARGET=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$TARGET"
CARGO_FUZZ_VERSION=0.13.2

# The seconds that a stage may take: the number on its second line.
stage_limit() { sed -n '2s/.*limit \([0-9]*\) s.*/\1/p' ".ci/stages/$1"; }

# The command-line tool, with the features and the examples that the stage `test` has: once that has run, nothing is compiled.
build_tool() {
  cargo build --locked --all-features --bin amqp10 --example ordinary
  amqp10=$TARGET/debug/amqp10
}

# Without its features, which the simulation doesn't need.
build_simulation() { cargo test --locked --profile simulation --no-default-features --lib --no-run; }

# On a machine without a C compiler, which these variables stand for.
build_examples() {
  CC=/nowhere/cc CXX=/nowhere/c++ CMAKE=/nowhere/cmake cargo build --locked --release --features emulator \
    --example quickstart --example processor --example soak --example latency
}

# build_small FEATURES...
build_small() { cargo build --locked --profile small --example send "$@"; }

# retry COMMAND...: three tries, for what talks to a package registry.
retry() {
  local try
  for try in 1 2 3; do
    "$@" && return
    echo "try $try of 3 failed: $*" >&2
    sleep $((try * 5))
  done
  return 1
}

# peak_memory COMMAND...: runs it and prints its largest resident memory in KiB. What is read before the program has taken
# the place of this shell does not count; a run too short to be seen is done again.
peak_memory() {
  local pid peak=0 now tries
  for tries in 1 2 3 4 5 6 7 8 9 10; do
    "$@" > /dev/null &
    pid=$!
    while now=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status" 2> /dev/null) && [ -n "$now" ]; do
      [ "$(readlink "/proc/$pid/exe" 2> /dev/null)" = "$(readlink -f "$1")" ] && peak=$now
    done
    wait "$pid"
    [ "$peak" -eq 0 ] || break
  done
  [ "$peak" -gt 0 ] || { echo "peak_memory: $1 was never seen running" >&2; return 1; }
  echo "$peak"
}
