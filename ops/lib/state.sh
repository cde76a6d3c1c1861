# Shell functions: the state directory of `turnpike up`, as ops/docs/formats/settings.md has it.
# Sourced by ops/quickstart; expects root, bin, state (absolute), port and model. Each file is written
# beside its place and renamed, so a run that was cut short is simply repeated.

# run_dir: the short folder of sockets and replicas; Unix socket paths end at 108 bytes.
run_dir() {
    printf '/tmp/turnpike-%s-%s' "$(id -u)" "$(printf %s "$state" | sha256sum | cut -c1-8)"
}

# put FILE: standard input becomes the state's FILE, readable by its owner only.
put() {
    (umask 077 && cat >"$state/$1.new") && mv "$state/$1.new" "$state/$1" ||
        die "cannot write $state/$1$(if_full "$state")"
}

make_folders() {
    local run
    run=$(run_dir)
    mkdir -p "$state"/{data,outbox,models,logs} || die "cannot create $state$(if_full "$root")"
    mkdir -m 700 "$run" 2>/dev/null || true
    # /tmp is everybody's: a folder that somebody else made must not hold our sockets.
    if [ ! -d "$run" ] || [ -L "$run" ] || [ ! -O "$run" ]; then
        die "$run must be a folder of yours; remove it and start again"
    fi
    ln -sfn "$run" "$state/run"
}

# certificates_are_good: all are there, belong together, and hold for another day.
certificates_are_good() {
    [ -s "$state/server.crt" ] || return 1
    openssl x509 -in "$state/server.crt" -noout -checkend 86400 &&
        openssl verify -CAfile "$state/ca.crt" "$state/server.crt" &&
        [ "$(openssl x509 -in "$state/server.crt" -noout -pubkey)" = \
            "$(openssl pkey -in "$state/server.key" -pubout)" ]
} >/dev/null 2>&1

# make_certificates: a CA of this state directory and a server certificate for this host's names.
make_certificates() {
    certificates_are_good && return 0
    local work="$state/tls.new"
    rm -rf "$work"
    (umask 077 && mkdir "$work") || die "cannot create $work"
    cat >"$work/server.ext" <<'END'
subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1
extendedKeyUsage=serverAuth
basicConstraints=critical,CA:FALSE
END
    (
        umask 077 && cd "$work" &&
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
                -subj "/CN=Turnpike local CA" -keyout ca.key -out ca.crt &&
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
                -subj "/CN=localhost" -keyout server.key -out server.csr &&
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 825 \
                -extfile server.ext -out server.crt
    ) >"$state/logs/openssl.log" 2>&1 ||
        die "openssl failed: $(tail -n 1 "$state/logs/openssl.log")$(if_full "$state")"
    mv "$work"/{ca.key,ca.crt,server.key,server.crt} "$state/"
    rm -rf "$work"
}

write_gateway_settings() {
    put gateway.json <<END
{
    "listen": ["tcp:0.0.0.0:$port"],
    "tls_certificate": "$state/server.crt",
    "tls_key": "$state/server.key",
    "controlplane": "unix:$(run_dir)/internal.sock",
    "pepper_file": "$state/peppers",
    "outbox_dir": "$state/outbox",
    "snapshot_file": "$state/snapshot.json",
    "handover_socket": "$(run_dir)/gateway.handover"
}
END
}

# model_dir: r1-nano is in the repository; of the other models `synth` writes random weights.
model_dir() {
    case "$model" in
        r1-nano) printf '%s/config/files/models/%s' "$root" "$model" ;;
        *) printf '%s/models/%s' "$state" "$model" ;;
    esac
}

# The two DeepSeek names lead to the small model in this configuration only: a client that asks for
# them by name works unchanged, at their real price.
write_controlplane_settings() {
    put controlplane.json <<END
{
    "data_dir": "$state/data",
    "listen_internal": "unix:$(run_dir)/internal.sock",
    "listen_admin": "unix:$(run_dir)/admin.sock",
    "pepper_file": "$state/peppers",
    "cards_dir": "$root/config/files/models",
    "run_dir": "$(run_dir)",
    "engine_binary": "$bin/turnpike-engine",
    "handover_socket": "$(run_dir)/controlplane.handover",
    "driver": "process",
    "models": [{
        "card": "$model.json",
        "model_dir": "$(model_dir)",
        "names": [
            {"name": "turnpike/$model", "card": "$model.json"},
            {"name": "deepseek-ai/DeepSeek-R1", "card": "deepseek-r1-0528.json"},
            {"name": "deepseek-ai/DeepSeek-R1-0528", "card": "deepseek-r1-0528.json"}
        ]
    }],
    "serverless": [
        {"model": "turnpike/$model", "hardware": "1x_cpu", "min_replicas": 1, "max_replicas": 1}
    ],
    "hardware": [{
        "id": "1x_cpu", "gpu_type": "none", "gpu_link": "none", "gpu_memory_gb": 0, "gpu_count": 0,
        "cents_per_minute": 1, "slots": 4
    }]
}
END
}

# make_model: a checkpoint of random weights, made anew when the one that is there is not whole. One
# that the repository holds is only looked at.
make_model() {
    local folder config="$root/config/files/models/$model/config.json"
    folder=$(model_dir)
    "$bin/turnpike-engine" check --model "$folder" >"$state/logs/check.log" 2>&1 && return 0
    [ "$model" != r1-nano ] ||
        die "$folder is not whole: $(tail -n 1 "$state/logs/check.log"); git checkout restores it"
    rm -rf "$folder.new"
    "$bin/turnpike-engine" synth --config "$config" \
        --seed 1 --out "$folder.new" >"$state/logs/synth.log" 2>&1 ||
        die "turnpike-engine synth failed: $(tail -n 1 "$state/logs/synth.log")$(if_full "$state")"
    rm -rf "$folder"
    mv "$folder.new" "$folder"
}

init_stores() {
    "$bin/turnpike-controlplane" init --config "$state/controlplane.json" \
        >"$state/logs/init.log" 2>&1 ||
        die "$(tail -n 1 "$state/logs/init.log")$(if_full "$state"); repair it, or delete $state and \
start anew, without its keys and usage"
}
