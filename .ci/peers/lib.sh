# Helpers of the peer scripts: installing with retries, starting and ending servers by pid.
# shellcheck shell=bash disable=SC2034
set -euo pipefail
PEERS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(cd "$PEERS/../.." && pwd)
# shellcheck source=.ci/peers/env
. "$PEERS/env"
mkdir -p "$AMQP10_LAB" "$AMQP10_RUN"

say() { echo "peers: $*" >&2; }
die() { say "$*"; exit 1; }

# retry LIMIT COMMAND...: three tries of at most LIMIT seconds each.
retry() {
  local limit=$1 try; shift
  for try in 1 2 3; do
    timeout "$limit" "$@" && return
    say "try $try of 3 failed: $*"
    sleep $((try * 5))
  done
  return 1
}

# apt_install PACKAGE[=VERSION]...: nothing where all are there; never starts a service.
apt_install() {
  local package missing=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "${package%%=*}" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] || die "need root to install ${missing[*]}"
  (
    flock -w 600 9 || die "another install holds $AMQP10_LAB/apt.lock"
    # Without this file the package manager would start what it installs.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
      trap 'rm -f /usr/sbin/policy-rc.d' EXIT
      printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
      chmod +x /usr/sbin/policy-rc.d
    fi
    retry 300 apt-get -qq update
    DEBIAN_FRONTEND=noninteractive retry 600 apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
      install --no-install-recommends "${missing[@]}"
  ) 9> "$AMQP10_LAB/apt.lock" >> "$AMQP10_LAB/apt.log" 2>&1 || { tail -n 20 "$AMQP10_LAB/apt.log" >&2; die "cannot install ${missing[*]}"; }
}

listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A pid alone may be reused by another process; with its start time it is unique.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# launch NAME COMMAND...: run in the background as the leader of its own process group.
launch() {
  local name=$1 pid; shift
  setsid "$@" < /dev/null > "$AMQP10_RUN/$name.log" 2>&1 9>&- &
  pid=$!
  echo "$pid $(start_time "$pid")" > "$AMQP10_RUN/$name.pid"
}

# running NAME: whether the process that `launch` started is still there.
running() {
  local pid since
  read -r pid since 2>/dev/null < "$AMQP10_RUN/$1.pid" && [ "$(start_time "$pid")" = "$since" ]
}

# await_port NAME PORT SECONDS: until it listens; fails early if the process has ended.
await_port() {
  local name=$1 port=$2 seconds=$3 tick
  for tick in $(seq $((seconds * 5))); do
    listening "$port" && { say "$name listens on 127.0.0.1:$port"; return; }
    running "$name" || [ "$tick" -lt 5 ] || break
    sleep 0.2
  done
  tail -n 20 "$AMQP10_RUN/$name.log" >&2
  die "$name does not listen on port $port; its log is $AMQP10_RUN/$name.log"
}

# end NAME: end what `launch` started, with all its children; nothing else.
end() {
  local name=$1 pid _
  if running "$name"; then
    read -r pid _ < "$AMQP10_RUN/$name.pid"
    kill -TERM -- "-$pid" 2>/dev/null || true
    for _ in $(seq 100); do running "$name" || break; sleep 0.1; done
    kill -KILL -- "-$pid" 2>/dev/null || true
    say "$name ended"
  fi
  rm -f "$AMQP10_RUN/$name.pid"
}

# changed STAMP INPUT...: whether the install that STAMP marks was made from other inputs than these.
changed() {
  local stamp=$1; shift
  [ "$(cat "$stamp" 2>/dev/null)" != "$(sha256sum "$@")" ]
}

# rabbitmq_conf PORT TLS_PORT CERTIFICATES DEFINITIONS: what both versions are configured with.
rabbitmq_conf() {
  local port=$1 tls_port=$2 certificates=$3 definitions=$4
  cat <<CONF
listeners.tcp.1 = 127.0.0.1:$port
listeners.ssl.1 = 127.0.0.1:$tls_port
ssl_options.cacertfile = $certificates/authority.pem
ssl_options.certfile = $certificates/localhost.pem
ssl_options.keyfile = $certificates/localhost.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
auth_mechanisms.3 = EXTERNAL
log.file = false
log.console = true
log.console.level = warning
load_definitions = $definitions
max_message_size = 67108864
CONF
}
