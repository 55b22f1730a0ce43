# The fuzz targets and how each is run. Shared by the commands beside this file and by .ci/stages/fuzz.
# shellcheck shell=bash disable=SC2034
TARGETS=(decode_value decode_frame message_roundtrip engine_bytes engine_operations connection_string selector)

# Sanitizers and coverage are unstable flags: this allows them to a stable compiler, and changes nothing for a nightly one.
export RUSTC_BOOTSTRAP=1

# prepare TARGET: unpacks its seeds into its corpus, and sets `sanitizer`, `inputs` (folders, the first for what is found)
# and `options` (of libFuzzer).
prepare() {
  sanitizer=address
  inputs=("fuzz/corpus/$1")
  options=(-timeout=30 -rss_limit_mb=1024)
  case $1 in
    decode_value | message_roundtrip)
      inputs+=(tests/conformance/vectors/*/)
      options+=(-dict=fuzz/amqp.dict -max_len=4096)
      ;;
    decode_frame)
      inputs+=(fuzz/dialogues)
      options+=(-dict=fuzz/amqp.dict -max_len=4096)
      ;;
    # The engine touches no memory by itself: a sanitizer would find nothing in it, and take three quarters of the time.
    engine_bytes)
      sanitizer=none
      inputs+=(fuzz/dialogues)
      options+=(-dict=fuzz/amqp.dict -max_len=2048)
      ;;
    engine_operations)
      sanitizer=none
      options+=(-max_len=257)
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
  tar -xzf "fuzz/seeds/$1.tar.gz" -C "fuzz/corpus/$1"
}

# build TARGET...: their programs.
build() {
  local target
  for target in "$@"; do
    prepare "$target"
    cargo fuzz build --sanitizer "$sanitizer" "$target"
  done
}
