# Shell functions: the settings of an installation. Sourced by ops/install; expects prefix, port and
# put_text. Paths are those of the running host, wherever the files are staged.

# link_of NAME: how the GPUs of one host reach each other, by the name of the board.
link_of() {
    case "$1" in
        *PCIe* | *NVL*) echo pcie ;;
        *H100* | *H200* | *B200* | *SXM*) echo sxm ;;
        *) echo pcie ;;
    esac
}

# find_hardware: sets hardware, gpu_type, gpu_link, gpu_memory_gb, gpu_count and slots.
find_hardware() {
    local rows name memory_mib model
    hardware=1x_cpu gpu_type=none gpu_link=none gpu_memory_gb=0 gpu_count=0 slots=4
    rows=$(nvidia-smi --query-gpu=name,memory.total --format=csv,noheader,nounits 2>/dev/null) || return 0
    [ -n "$rows" ] || return 0
    [ "$(printf '%s\n' "$rows" | sort -u | wc -l)" = 1 ] ||
        die "nvidia-smi shows GPUs of several kinds; write the hardware of /etc/turnpike/controlplane.json by hand"
    IFS=, read -r name memory_mib <<<"$(printf '%s\n' "$rows" | head -n 1)"
    gpu_count=$(printf '%s\n' "$rows" | wc -l)
    # "NVIDIA H100 80GB HBM3" is an h100; 81559 MiB of it are 80 GiB.
    model=$(printf '%s' "${name#NVIDIA }" | cut -d' ' -f1 | tr '[:upper:]' '[:lower:]')
    gpu_memory_gb=$(((${memory_mib// /} + 512) / 1024))
    gpu_link=$(link_of "$name")
    gpu_type=$model-${gpu_memory_gb}gb
    hardware=${gpu_count}x_nvidia_${model}_${gpu_memory_gb}gb_$gpu_link
    slots=1
}

write_gateway_settings() {
    local credentials=/run/credentials/turnpike-gateway.service
    put_text 644 "$etc/gateway.json" <<END
// Settings of turnpike-gateway; every key: settings.md beside install.md in $prefix/share/doc/turnpike.
// What is under /run/credentials is loaded by the unit from /etc/turnpike: see its LoadCredential=.
{
    "listen": ["tcp:0.0.0.0:$port"],
    "tls_certificate": "$credentials/server.crt",
    "tls_key": "$credentials/server.key",
    "upstream_tls": {
        "certificate": "$credentials/gateway.crt",
        "key": "$credentials/gateway.key",
        "ca": "$credentials/ca.crt"
    },
    "controlplane": "unix:/run/turnpike/internal.sock",
    "pepper_file": "$credentials/peppers",
    "outbox_dir": "/var/lib/turnpike/gateway/outbox",
    "snapshot_file": "/var/lib/turnpike/gateway/snapshot.json",
    "metrics_listen": "tcp:127.0.0.1:9464"
}
END
}

write_controlplane_settings() {
    local credentials=/run/credentials/turnpike-controlplane.service
    find_hardware
    put_text 644 "$etc/controlplane.json" <<END
// Settings of turnpike-controlplane; every key: settings.md beside install.md in $prefix/share/doc/turnpike.
// What is under /run/credentials is loaded by the unit from /etc/turnpike: see its LoadCredential=.
{
    "driver": "systemd",
    "data_dir": "/var/lib/turnpike/controlplane",
    "run_dir": "/run/turnpike",
    "listen_internal": "unix:/run/turnpike/internal.sock",
    "listen_admin": "unix:/run/turnpike/admin/admin.sock",
    // For operators with keys in /etc/turnpike/operators:
    // "listen_operators": "tcp:127.0.0.1:9465",
    // "operator_keys_file": "$credentials/operators",
    "pepper_file": "$credentials/peppers",
    "engine_tls": {
        "certificate": "$credentials/controlplane.crt",
        "key": "$credentials/controlplane.key",
        "ca": "$credentials/ca.crt"
    },
    "cards_dir": "$prefix/share/turnpike/models",
    "engine_binary": "$prefix/bin/turnpike-engine",
    // r1-nano is in the box, to see the service at work. A model with weights of one's own:
    // {"card": "deepseek-r1-0528.json", "model_dir": "/var/lib/turnpike/models/DeepSeek-R1-0528"}
    "models": [
        {"card": "r1-nano.json", "model_dir": "$prefix/share/turnpike/models/r1-nano"}
    ],
    "serverless": [
        {"model": "turnpike/r1-nano", "hardware": "$hardware", "min_replicas": 1, "max_replicas": 1}
    ],
    // cents_per_minute is the price of a dedicated endpoint on it: set it before customers make any.
    "hardware": [{
        "id": "$hardware", "gpu_type": "$gpu_type", "gpu_link": "$gpu_link", "gpu_memory_gb": $gpu_memory_gb,
        "gpu_count": $gpu_count, "cents_per_minute": 0, "slots": $slots
    }]
}
END
}
