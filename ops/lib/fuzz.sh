# Shell function: libFuzzer over every target of tests/fuzz. Sourced by ops/check, in the
# repository's root; expects the preset `fuzz` to be built.

# fuzz_target SECONDS NAME [DICTIONARY]: one target; what it dies of goes to build/fuzz/artifacts.
# New inputs are kept in build/fuzz/corpus for the next run; the committed seeds are only read.
fuzz_target() {
    local seconds=$1 name=$2 dictionary=${3:-} found=build/fuzz/corpus/$2 log=build/fuzz/$2.log
    local arguments=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1)
    mkdir -p "$found" build/fuzz/artifacts
    [ -z "$dictionary" ] || arguments+=(-dict="tests/fuzz/dictionaries/$dictionary")
    if ! "build/fuzz/fuzz/fuzz_$name" "${arguments[@]}" -artifact_prefix="build/fuzz/artifacts/$name-" \
        "$found" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        tail -n 40 "$log"
        printf 'fuzz_%s failed; repeat it with build/fuzz/fuzz/fuzz_%s and the file named above\n' "$name" "$name"
        return 1
    fi
    printf '%-28s %s runs\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
}

# fuzz_all SECONDS: every target for so long, one per core.
fuzz_all() {
    export -f fuzz_target
    xargs -r -L 1 -P "$(nproc)" bash -c 'fuzz_target "$@"' fuzz "$1" <build/fuzz/fuzz-targets.txt
}
