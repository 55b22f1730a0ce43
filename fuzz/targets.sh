# The fuzz targets and how each is run. Shared by the commands beside this file and by .ci/stages/fuzz.
# shellcheck shell=bash disable=SC2034
TARGETS=(decode_value decode_frame message_roundtrip engine_bytes engine_operations connection_string selector)

# Sanitizers and coverage are unstable flags: this allows them to a stable compiler, and changes nothing for a nightly one.
export RUSTC_BOOTSTRAP=1

# settings_of TARGET: sets `sanitizer`, `seeds` (folders of inputs to begin with) and `options` (of libFuzzer).
settings_of() {
  sanitizer=address
  seeds=("fuzz/seeds/$1")
  options=(-timeout=10 -rss_limit_mb=1024)
  case $1 in
    decode_value | message_roundtrip)
      seeds+=(tests/conformance/vectors/*/)
      options+=(-dict=fuzz/amqp.dict -max_len=4096)
      ;;
    decode_frame)
      seeds+=(fuzz/dialogues)
      options+=(-dict=fuzz/amqp.dict -max_len=4096)
      ;;
    # The engine touches no memory by itself, and a sanitizer that finds nothing in it would take three quarters of the time.
    engine_bytes)
      sanitizer=none
      seeds+=(fuzz/dialogues)
      options+=(-dict=fuzz/amqp.dict -max_len=2048)
      ;;
    engine_operations)
      sanitizer=none
      options+=(-max_len=513)
      ;;
    connection_string | selector)
      options+=("-dict=fuzz/$1.dict" -max_len=1024)
      ;;
    *)
      echo "no target $1; there are: ${TARGETS[*]}" >&2
      return 2
      ;;
  esac
  mkdir -p "fuzz/corpus/$1"
}
