# Shell functions: the private authority of an installation and what it signs. Sourced by ops/install;
# expects tls (the folder), server_name, server_certificate, server_key, keep and die.
# Nothing that is there is replaced: delete a pair to have it made anew.

curve="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

make_authority() {
    if [ -s "$tls/ca.crt" ]; then
        keep "$tls/ca.crt"
        return
    fi
    # shellcheck disable=SC2086
    openssl req -x509 $curve -days 7300 -subj "/CN=Turnpike private CA" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout "$work/ca.key" -out "$work/ca.crt" 2>"$work/log" || die_of_openssl
    put_pair ca
}

# make_certificate NAME DAYS EXTENSION...: NAME.crt and NAME.key, of the authority.
make_certificate() {
    local name=$1 days=$2
    shift 2
    if [ -s "$tls/$name.crt" ]; then
        keep "$tls/$name.crt"
        check_certificate "$name"
        return
    fi
    [ -s "$tls/ca.key" ] || die "$tls/$name.crt is to be made and $tls/ca.key is not here: make it where the authority is"
    printf '%s\n' "$@" "basicConstraints=critical,CA:FALSE" >"$work/extensions"
    # shellcheck disable=SC2086
    openssl req $curve -subj "/CN=$name" -keyout "$work/$name.key" -out "$work/$name.csr" 2>"$work/log" &&
        openssl x509 -req -in "$work/$name.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" \
            -set_serial "0x$(openssl rand -hex 16)" -days "$days" -extfile "$work/extensions" \
            -out "$work/$name.crt" 2>>"$work/log" || die_of_openssl
    put_pair "$name"
}

# The key first: a certificate that is there says that both are.
put_pair() {
    [ ! -e "$tls/$1.key" ] || die "$tls/$1.key is there and $1.crt is not: put it beside, or remove the key"
    put_file 600 "$work/$1.key" "$tls/$1.key"
    put_file 644 "$work/$1.crt" "$tls/$1.crt"
}

check_certificate() {
    openssl x509 -in "$tls/$1.crt" -noout -checkend $((30 * 86400)) >/dev/null ||
        echo "warning: $tls/$1.crt ends within 30 days; delete it and run this again, or replace it" >&2
}

die_of_openssl() { die "openssl failed: $(tail -n 1 "$work/log")"; }

# host_names: what the gateway's certificate is good for.
host_names() {
    case "$server_name" in
        *[!0-9.]*) printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1' "$server_name" ;;
        *) printf 'subjectAltName=IP:%s,DNS:localhost,IP:127.0.0.1' "$server_name" ;;
    esac
}

make_certificates() {
    make_authority
    if [ -n "$server_certificate" ] && [ ! -s "$tls/server.crt" ]; then
        put_file 600 "$server_key" "$tls/server.key"
        put_file 644 "$server_certificate" "$tls/server.crt"
    else
        make_certificate server 825 "$(host_names)" "extendedKeyUsage=serverAuth"
    fi
    # The name that clients of engines ask for, on whatever host a replica is.
    make_certificate engine 3650 "subjectAltName=DNS:turnpike-engine" "extendedKeyUsage=serverAuth"
    make_certificate gateway 3650 "extendedKeyUsage=clientAuth"
    make_certificate controlplane 3650 "extendedKeyUsage=clientAuth"
}
