#!/usr/bin/env bash
# Makes this folder's certificates as ThingsBoard's documentation has users make them: with `keytool` (JDK 17), without
# thinking of any extension but the CA's, and with `openssl req` and `openssl x509 -req` (3.0). The keys are thrown away.
set -euo pipefail
cd "$(dirname "$0")"
work="$(mktemp -d)"
trap 'rm -r "$work"' EXIT

unit="OU=ThingsBoard, O=Example, C=US"
store=(-keystore "$work/store.p12" -storetype PKCS12 -storepass changeit)
new() { keytool -genkeypair "${store[@]}" -validity 3650 -alias "$1" -dname "$2" "${@:3}"; }
export_as() { keytool -exportcert -rfc "${store[@]}" -alias "$1" > "$2.pem"; }
signed_as() {
  keytool -certreq "${store[@]}" -alias "$1" |
    keytool -gencert -rfc "${store[@]}" -validity 3650 -alias ca > "$2.pem"
}

new ca "CN=Device CA, $unit" -keyalg EC -groupname secp256r1 -ext bc:c
new device "CN=sensor-1, $unit" -keyalg EC -groupname secp256r1
new rsa "CN=sensor-2, $unit" -keyalg RSA -keysize 2048
new server "CN=localhost, $unit" -keyalg RSA -keysize 2048
export_as ca ca
export_as device self-signed
signed_as device device
signed_as rsa device-rsa
export_as server server

openssl ecparam -name prime256v1 -genkey -noout -out "$work/ca.key"
openssl req -new -x509 -nodes -days 3650 -key "$work/ca.key" -subj "/C=US/O=Example/CN=OpenSSL CA" -out openssl-ca.pem
openssl ecparam -name prime256v1 -genkey -noout -out "$work/device.key"
openssl req -new -key "$work/device.key" -subj "/C=US/O=Example/CN=sensor-3" -out "$work/device.csr"
openssl x509 -req -in "$work/device.csr" -CA openssl-ca.pem -CAkey "$work/ca.key" -CAcreateserial \
  -CAserial "$work/serial" -days 3650 -out openssl-device-v1.pem
