#!/bin/sh
# Makes the certificates of the TLS tests anew, valid for a hundred years. They protect nothing.
set -eu
cd "$(dirname "$0")"
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj "/CN=$2" -keyout "$1.key" -out "$1.pem"
}
leaf() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" -keyout "$1.key" -out "$1.csr"
  printf 'subjectAltName=%s\n' "$3" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA authority.pem -CAkey authority.key -CAcreateserial -days 36500 -extfile "$1.ext" -out "$1.pem"
  rm "$1.csr" "$1.ext"
}
authority authority 'svc-comm tests'
authority stranger 'somebody else'
leaf server rabbit.test 'DNS:rabbit.test,DNS:localhost'
leaf client orders 'DNS:orders'
openssl pkcs8 -topk8 -in client.key -out client-locked.key -passout pass:hunter2
rm authority.key authority.srl stranger.key
