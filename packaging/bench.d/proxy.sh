# shellcheck shell=bash
# Sourced by packaging/bench: the part proxy.
# shellcheck disable=SC2154  # the variables are those of packaging/bench

measure_proxy() {
    local clients program=/usr/local/bin/hello-c-musl
    contenders=(without=127.0.0.1:4300 'version 1=127.0.0.1:4301' 'version 2=127.0.0.1:4301')
    inside sockunit add --shared --listen 127.0.0.1 --per-source 200 without 4300 -- "$program" >/dev/null
    inside sockunit add --shared --listen 127.0.0.1 --per-source 200 --accept-proxy 127.0.0.1 header 4301 \
        -- "$program" >/dev/null
    wait_for_contenders
    for clients in 1 8; do
        run packaging/machine exec "$name" -- load hello --clients "$clients" --label proxy --data /root/proxy \
            --rounds 30 --turn 500 --header 'version 1=1' --header 'version 2=2' \
            --rates-of without --times-of without "${contenders[@]}"
    done
}
