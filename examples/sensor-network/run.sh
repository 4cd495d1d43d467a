# The same network twice: with queues that let go of the oldest, and with queues that spill to disk.
await() { # await KERNEL KEY VALUE: until `rkpipe status --json` says so
    until "$RKPIPE" status --json 2>/dev/null | grep -q "\"kernel\":\"$1\",[^{}]*\"$2\":\"\?$3\"\?,"; do
        kill -0 $! && [ "$SECONDS" -lt 60 ] || { echo "waited in vain for $2 $3 of $1" >&2 && exit 1; }
        sleep 0.02
    done
}
accounts() { # of the summary: every row that came in went out, was kept (absorbed), or was dropped for a reason
    awk -F'[ ":,]+' '
        function close_one() {
            if (kernel == "fast" || kernel == "slow" || kernel == "dead")
                print kernel ": " (n["rows_in"] == (n["absorbed"] ? n["absorbed"] : n["rows_out"]) + lost ? \
                    "every row is accounted for" : n["rows_in"] " in, " n["rows_out"] " out, " lost " lost")
            split("", n); lost = 0
        }
        $2 == "kernel" { close_one(); kernel = $3 }
        $2 == "queue_full" || $2 == "terminated" { lost += $3 }
        { n[$2] = $3 }
        END { close_one() }' "$1"
}
network() { # network OVERFLOW
    local overflow=$1
    shift
    mkdir "$overflow"
    "$RKPIPE" run "$PIPELINES/sensor-network.yaml" --var overflow="$overflow" --var out="$overflow" \
        --set run.summary=summary.json "$@" &
    trap 'kill $! 2>/dev/null || true' EXIT

    # All that was published has arrived at `fast`, and `dead` has not taken a row. (A sensor is terminated when nobody
    # needs it any more: one that has spilled stays to bring back what is on disk.)
    await fast_file state terminated
    [ "$overflow" = spill ] || await north state terminated
    await dead state launched
    echo "$overflow: fast is done, dead has not begun"
    "$RKPIPE" activate dead
    wait $!

    accounts summary.json
    cp "$overflow/fast.csv" "fast-$overflow.csv"
    cp "$overflow/dead.csv" "dead-$overflow.csv"
}

network drop_oldest "$@"
network spill "$@"
cp spill/slow.csv slow-spill.csv
rm -r drop_oldest spill summary.json
