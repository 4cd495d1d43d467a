# Both callers have sent all they have to ask before the service is activated.
await() { # await FROM TO KEY VALUE: until `rkpipe status --json` says so of an edge
    until "$RKPIPE" status --json 2>/dev/null | grep -q "\"from\":\"$1\",\"to\":\"$2\",[^{}]*\"$3\":$4,"; do
        kill -0 $! && [ "$SECONDS" -lt 60 ] || { echo "waited in vain for $3 $4 of $1 -> $2" >&2 && exit 1; }
        sleep 0.02
    done
}

"$RKPIPE" run "$PIPELINES/request-response.yaml" --var urgent=urgent.csv --var orders=orders.csv --var out=. "$@" &
trap 'kill $! 2>/dev/null || true' EXIT
await price prices sent 4
await price_urgent prices sent 3
"$RKPIPE" activate prices
wait $!
