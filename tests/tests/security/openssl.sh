# An authority in RSA, one below it in ECDSA, and what the second has signed.
set -euo pipefail
days="-days 30"
openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.crt $days -subj "/CN=root" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
openssl ecparam -name prime256v1 -genkey -noout -out between.key
openssl req -new -key between.key -subj "/CN=between" -out between.csr
openssl x509 -req -in between.csr -CA root.crt -CAkey root.key -CAcreateserial $days -out between.crt \
    -extfile <(printf 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign')

# name, key's algorithm and options, extensions
issue() {
    mkdir -p "$1"
    openssl genpkey -algorithm $2 -out "$1/tls.key"
    openssl req -new -key "$1/tls.key" -subj "/CN=$1" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA between.crt -CAkey between.key -CAcreateserial $days -out "$1.crt" \
        -extfile <(printf "$3")
    cat "$1.crt" between.crt > "$1/tls.crt"
    cp root.crt "$1/ca.crt"
    chmod 600 "$1/tls.key"
}
issue coordinator "RSA -pkeyopt rsa_keygen_bits:2048" \
    'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth'
issue ecdsa "EC -pkeyopt ec_paramgen_curve:P-384" 'extendedKeyUsage=clientAuth'
issue rsa "RSA -pkeyopt rsa_keygen_bits:3072" 'extendedKeyUsage=clientAuth'
issue admin "EC -pkeyopt ec_paramgen_curve:P-256" \
    'subjectAltName=URI:urn:lockstep:admin\nextendedKeyUsage=clientAuth'
