# Sourced by the tests of the command line: lib.sh RKPIPE SOURCE_DIR. Each test works in an empty folder of its own.
set -u
rkpipe=$(realpath "$1") source=$(realpath "$2") failed=0 checks=0
engine= admin=() # engine: the process that runs in the background; admin: how its API is reached where that is said
export LC_ALL=C TERM=dumb NO_COLOR=1
unset COLUMNS
work=$(mktemp -d)
# A child that is killed before its exec would run it, too.
trap '[ "$BASHPID" != $$ ] || { [ -z "$engine" ] || kill -9 "$engine" 2>/dev/null; rm -rf "$work"; }' EXIT
cd "$work" || exit 1

bad() {
    failed=$((failed + 1))
    printf 'FAIL %s\n' "$*"
    printf '  command: %s (exit %s)\n' "${last:-}" "${code:-}"
    sed 's/^/  out | /' out 2>/dev/null | head -30
    sed 's/^/  err | /' err 2>/dev/null | head -30
}
run() { # run EXIT ARG..: runs rkpipe; out and err hold what it said
    local want=$1
    shift
    last="rkpipe $*"
    code=0
    "$rkpipe" "$@" >out 2>err </dev/null || code=$?
    checks=$((checks + 1))
    [ "$code" = "$want" ] || bad "exit $code, not $want"
}
has() { # has out|err TEXT..
    local file=$1 text
    shift
    for text in "$@"; do
        checks=$((checks + 1))
        grep -qF -- "$text" "$file" || bad "$file has no '$text'"
    done
}
hasnt() { # hasnt out|err TEXT
    checks=$((checks + 1))
    ! grep -qF -- "$2" "$1" || bad "$1 has '$2'"
}
is() { # is out|err|FILE TEXT: exactly this
    checks=$((checks + 1))
    printf '%s' "$2" | cmp -s - "$1" || bad "$1 is not '$2'"
}
true_that() { # true_that WHAT COMMAND..
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" >/dev/null 2>&1 || bad "$what"
}
isnt() { ! "$@"; } # isnt COMMAND..
until_true() { # until_true COMMAND..: for at most a minute
    local until=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.05
    done
}
runs() { # runs N: that generation runs
    "$rkpipe" status "${admin[@]}" --json 2>/dev/null </dev/null | grep -q "\"generation\":$1,"
}
launch() { # launch ARG..: an engine; run.out and run.err hold what it says
    rm -f run.out run.err # what an earlier one said is not taken for this one's
    "$rkpipe" run "$@" >run.out 2>run.err </dev/null &
    engine=$!
}
start() { # start ARG..: and it runs
    launch "$@"
    true_that "the engine does not run" until_true runs 1
}
ended() { # ended: the engine has been told to, and succeeds
    wait "$engine" || bad "the engine ended with $?: $(cat run.err 2>&1)"
    engine=
}
stop() {
    run 0 drain "${admin[@]}"
    ended
}
crash() { # crash: the engine is killed
    { kill -9 "$engine" && wait "$engine"; } 2>/dev/null
    engine=
}
finish() {
    echo "$checks checks, $failed failed"
    [ "$failed" = 0 ]
    exit
}
