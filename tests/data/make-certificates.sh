#!/bin/sh
# Makes the certificates of the TLS tests with OpenSSL; they are valid for a hundred years, one of them for a day long ago.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
long="-startdate 20200101000000Z -enddate 21200101000000Z"

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

authority() { # name, common name
    key "$work/$1-key.pem"
    openssl req -x509 -new -key "$work/$1-key.pem" -out "$1.pem" -days 36500 -subj "/CN=$2" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

issue() { # name, extended key usage, alternative names, validity
    name=$1 usage=$2 names=$3
    shift 3
    key "$name-key.pem"
    openssl req -new -key "$name-key.pem" -out "$work/$name.csr" -subj "/CN=$name"
    printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=%s\n' \
        "$usage" "$names" >"$work/$name.ext"
    : >"$work/index.txt"
    openssl ca -batch -notext -config "$work/ca.cnf" -keyfile "$work/ca-key.pem" -cert ca.pem -rand_serial \
        -outdir "$work" -in "$work/$name.csr" -extfile "$work/$name.ext" -out "$name.pem" "$@"
}

cat >"$work/ca.cnf" <<CONFIG
[ca]
default_ca = ca_default
[ca_default]
database = $work/index.txt
default_md = sha256
serial = $work/serial
policy = any
unique_subject = no
[any]
commonName = supplied
CONFIG

authority ca "amqp10 test authority"
authority other-ca "another authority"
issue server serverAuth DNS:localhost,IP:127.0.0.1,IP:::1 $long
issue client clientAuth DNS:client $long
issue expired serverAuth DNS:localhost -startdate 20200101000000Z -enddate 20200102000000Z
