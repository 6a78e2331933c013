#!/bin/sh
# make-certs.sh: makes by hand what otad makes by itself at its first start: a CA for the server, a CA for devices,
# and the server's certificate.
#   certs/make-certs.sh [-r] DIR NAME...
# DIR is made when it is missing, and nothing in it is ever overwritten. NAMEs are what clients call the server by:
# host names and addresses, IPv6 without brackets. The first is the certificate's common name as well.
#   certs/make-certs.sh data/certs ota.example.com localhost 127.0.0.1 ::1 192.0.2.7
# -r is for tls_profile = compatible: the CAs' keys are of RSA, and beside server.pem stands server-rsa.pem.
# With these files in DATA_DIR/certs otad uses them, and renews server.pem while ca.key is there. To keep the CA's
# key away from the server, move it: otad then says when the server's certificate must be renewed.
set -eu

CA_DAYS=7305     # 20 years
SERVER_DAYS=824  # a client that counts the last second in finds 825, the most that strict ones accept
RSA_BITS=2048    # what the devices that need -r can do

fail()
{
    echo "make-certs: $*" >&2
    exit 1
}

usage()
{
    echo "usage: $0 [-r] DIR NAME..." >&2
    exit 2
}

kind=ec
servers=server
while getopts r option; do
    case $option in
    r) kind=rsa servers='server server-rsa' ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || usage
dir=$1
shift
command -v openssl >/dev/null || fail "the openssl command is missing"

# each with its key before it, so that a crash parts no pair that otad would take
all=
for name in ca device-ca $servers; do
    all="$all $name.key $name.pem"
done
for file in $all; do
    if [ -e "$dir/$file" ] || [ -L "$dir/$file" ]; then
        fail "$dir/$file is there already"
    fi
done

# The names go into a file of settings, where a comma or a new line would be more than a name.
names=
for name; do
    case $name in
    '' | *[!A-Za-z0-9._:-]* | -*) fail "not a host name or address: $name" ;;
    *:*) type=IP ;;
    *[!0-9.]*) type=DNS ;;
    *.*) type=IP ;;
    *) type=DNS ;;
    esac
    names="$names${names:+,}$type:$name"
done
common_name=$1
[ ${#common_name} -le 64 ] || common_name=otad # X.520 allows 64 characters

umask 077
mkdir -p "$dir"
new=$(mktemp -d "$dir/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM

cat >"$new/openssl.cnf" <<END
[req]
distinguished_name = subject
prompt = no
[subject]
[ca]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = $names
[server-rsa]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = $names
END

make_key() # KIND FILE
{
    case $1 in
    rsa) openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:$RSA_BITS -out "$2" ;;
    *) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$2" ;;
    esac
}

make_ca() # FILE-NAME WHAT: each CA has a name of its own, so that a bundle may hold those of several servers
{
    serial=$(openssl rand -hex 16)
    make_key $kind "$new/$1.key"
    openssl req -new -x509 -config "$new/openssl.cnf" -extensions ca -key "$new/$1.key" -sha256 -days $CA_DAYS \
        -set_serial "0x$serial" -subj "/CN=otad $2 $(printf %.8s "$serial")" -out "$new/$1.pem"
}

make_ca ca CA
make_ca device-ca "device CA"

make_server() # FILE-NAME KIND
{
    make_key "$2" "$new/$1.key"
    openssl req -new -config "$new/openssl.cnf" -key "$new/$1.key" -subj "/CN=$common_name" -out "$new/$1.csr"
    openssl x509 -req -in "$new/$1.csr" -CA "$new/ca.pem" -CAkey "$new/ca.key" -sha256 -days $SERVER_DAYS \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$new/openssl.cnf" -extensions "$1" -out "$new/leaf.pem" \
        2>"$new/openssl.log" || fail "$(cat "$new/openssl.log")"
    cat "$new/leaf.pem" "$new/ca.pem" >"$new/$1.pem"
    openssl verify -x509_strict -purpose sslserver -CAfile "$new/ca.pem" "$new/$1.pem" >/dev/null
}

make_server server ec
[ $kind = ec ] || make_server server-rsa rsa

chmod 644 "$new"/*.pem
for file in $all; do
    ln "$new/$file" "$dir/$file" # unlike mv, never over what came there meanwhile
done
echo "make-certs: wrote$all in $dir; valid for $names"
