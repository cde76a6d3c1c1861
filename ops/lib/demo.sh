# Shell functions: waiting for ready, a demo organisation with credit and a key, a first request.
# Expects state, port, up and run_dir. Everything goes through the documented APIs with curl.

# admin METHOD PATH [BODY]: one call of the admin API; fails on a status of 400 or more.
admin() {
    curl -sS --fail-with-body --max-time 10 --unix-socket "$(run_dir)/admin.sock" -X "$1" \
        -H 'content-type: application/json' ${3:+--data "$3"} "http://localhost$2"
}

# text_field NAME: the first string field of that name in the JSON on standard input.
text_field() {
    sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p' | head -n 1
}

wait_ready() {
    local deadline=$((SECONDS + 60))
    until curl -sf --max-time 2 --cacert "$state/ca.crt" "https://localhost:$port/readyz" \
        >/dev/null 2>&1; do
        kill -0 "$up" 2>/dev/null || die "turnpike up ended: $(tail -n 1 "$state/logs/up.log")"
        [ "$SECONDS" -lt "$deadline" ] || die "not ready after 60 s; see $state/logs"
        sleep 0.2
    done
}

# key_works KEY: whether the gateway takes it.
key_works() {
    curl -sf --max-time 10 --cacert "$state/ca.crt" -H "Authorization: Bearer $1" \
        "https://localhost:$port/v1/models" >/dev/null 2>&1
}

# new_key: the demo organisation with credit, each once, and another key of it on standard output.
new_key() {
    local answer
    admin GET /admin/v1/organisations | grep -q '"name" *: *"demo"' ||
        admin POST /admin/v1/organisations '{"name":"demo"}' >/dev/null ||
        die "could not create the demo organisation"
    admin POST /admin/v1/credit '{"org":"demo","amount_usd":"20","note":"quickstart",
        "idempotency_key":"quickstart-demo"}' >/dev/null || die "could not add credit"
    answer=$(admin POST /admin/v1/keys '{"org":"demo","name":"quickstart"}') ||
        die "could not create a key"
    printf %s "$answer" | text_field key
}

# make_demo: the key is shown only once, so it is kept in the state's env file; one that the stores
# do not know, since they were replaced or the run before was cut short, is replaced.
make_demo() {
    local key='' deadline=$((SECONDS + 10))
    [ ! -s "$state/env" ] || key=$(sed -n "s/^export TURNPIKE_API_KEY='\(.*\)'$/\1/p" "$state/env")
    if [ -z "$key" ] || ! key_works "$key"; then
        key=$(new_key)
        [ -n "$key" ] || die "the admin API answered without a key"
        until key_works "$key"; do
            [ "$SECONDS" -lt "$deadline" ] || die "the gateway does not take the new key; see $state/logs"
            sleep 0.1
        done
    fi
    put env <<END
export TURNPIKE_BASE_URL='https://localhost:$port/v1'
export TURNPIKE_API_KEY='$key'
export TURNPIKE_CA_CERT='$state/ca.crt'
export TURNPIKE_ADMIN='unix:$(run_dir)/admin.sock'
END
}

# show_request: asks the first question as `turnpike chat` does, thinking shown, then tells its exact
# cost and how to ask again, with curl too.
show_request() {
    local question='What is 47 * 86?' deadline cost='' line
    . "$state/env"
    printf '$ turnpike chat "%s"\n' "$question"
    "$bin/turnpike" chat "$question" || die "the first request failed; see $state/logs"
    deadline=$((SECONDS + 10))
    while [ -z "$cost" ] && [ "$SECONDS" -lt "$deadline" ]; do
        # The row of the request, not the totals behind it.
        cost=$(admin GET '/admin/v1/usage?org=demo&limit=1' | sed 's/"totals".*//' | text_field cost_usd)
        [ -n "$cost" ] || sleep 0.1
    done
    [ -n "$cost" ] || die "the request was not billed within 10 s; see $state/logs"
    line='curl -sSN --cacert "$TURNPIKE_CA_CERT" -H "Authorization: Bearer $TURNPIKE_API_KEY"'
    line+=' -H "Content-Type: application/json" "$TURNPIKE_BASE_URL/chat/completions"'
    line+=" -d '{\"model\":\"deepseek-ai/DeepSeek-R1\",\"stream\":true,"
    line+="\"messages\":[{\"role\":\"user\",\"content\":\"$question\"}]}'"
    printf '\nIt cost %s USD. From any shell:\n  . %s/env\n' "$cost" "$state"
    printf '  %s/turnpike chat            # a conversation\n  %s\n' "$bin" "$line"
}
