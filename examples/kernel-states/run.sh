# Commands kernels while they run. The source reads a named pipe, so this script decides which line comes when.
say() { # the command, and what the engine answers
    echo "\$ rkpipe $*"
    "$RKPIPE" "$@" 2>&1 || true
}
await() { # await KERNEL KEY VALUE: until `rkpipe status --json` says so
    until "$RKPIPE" status --json 2>/dev/null | grep -q "\"kernel\":\"$1\",[^{}]*\"$2\":\"\?$3\"\?,"; do
        kill -0 $! && [ "$SECONDS" -lt 60 ] || { echo "waited in vain for $2 $3 of $1" >&2 && exit 1; }
        sleep 0.02
    done
}

mkfifo lines
"$RKPIPE" run "$PIPELINES/kernel-states.yaml" --var in=lines --var out=worked.csv --var log=changes.csv "$@" &
trap 'kill $! 2>/dev/null || true' EXIT
exec 3<>lines

await work state launched
say suspend work # not allowed: it has never been active
say activate work
printf '%s\n' one two three >&3
await work rows_in 3

say suspend work
printf '%s\n' four five >&3
await read rows_out 5
"$RKPIPE" status | awk '$1 == "work" { print "work is " $3 ", and has done " $5 " of 5 rows"; exit }'
say resume work
await work rows_in 5

say terminate spare
say activate spare # not allowed: it has ended
say activate worker
exec 3>&-
wait $!
