# Shell functions: the processes of one state directory. Expects state (absolute) and run_dir.
# A process belongs to it when its program is ours and an argument names a path inside it, so that
# what outlived a killed `turnpike up` is found as well.

# processes: the ids of this state directory's processes, one a line. A program that was built anew
# while it ran has a link that ends in ` (deleted)`.
processes() {
    local folder argument run
    run=$(run_dir)
    find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' \( -lname '*/turnpike' -o \
        -lname '*/turnpike (deleted)' -o -lname '*/turnpike-*' \) -printf '%h\n' 2>/dev/null |
        while IFS= read -r folder; do
            while IFS= read -r -d '' argument; do
                case "$argument" in
                    "$state" | "$state"/* | "$run"/*)
                        echo "${folder#/proc/}"
                        break
                        ;;
                esac
            done 2>/dev/null <"$folder/cmdline" || true
        done || true
}

# wait_gone SECONDS: 0 once no process is left.
wait_gone() {
    local deadline=$((SECONDS + $1))
    while [ -n "$(processes)" ]; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# stop_all: drains, then ends what is left. `up` goes first: it parks the replicas itself.
stop_all() {
    local up
    up=$(cat "$(run_dir)/up.pid" 2>/dev/null || true)
    if [ -n "$up" ] && processes | grep -qx "$up"; then
        kill -TERM "$up" 2>/dev/null || true
        wait_gone 60 && return 0
    fi
    processes | xargs -r kill -TERM 2>/dev/null || true
    wait_gone 10 && return 0
    processes | xargs -r kill -KILL 2>/dev/null || true
    wait_gone 5 || die "these processes do not end: $(processes | tr '\n' ' ')"
}
