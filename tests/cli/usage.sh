#!/usr/bin/env bash
# Words that are not understood, and help.
. "$(dirname "$0")/lib.sh"

run 64
has err 'usage: rkpipe COMMAND' 'run ' 'check '
is out ''
run 0 --help
has out 'usage: rkpipe COMMAND' 'not supported yet:'
is err ''
run 0 help
has out 'usage: rkpipe COMMAND'
run 0 help run
has out 'usage: rkpipe run FILE' '--progress auto|bar|json|none' 'Exit codes:'
cp out help.txt
run 0 run --help
true_that 'help VERB and VERB --help are the same' cmp out help.txt
run 0 run -h
true_that '-h is --help' cmp out help.txt
run 64 help rnu
has err "there is no command 'rnu'" "did you mean 'run'?"

run 64 chek x.yaml
has err "there is no command 'chek'" "did you mean 'rkpipe check'?"
run 64 job.yaml
has err "'rkpipe run FILE' runs a pipeline"
run 64 zzzzzz
has err "'rkpipe help' lists the commands"
run 64 run --bakend cpu x.yaml
has err "'run' has no option '--bakend'" "did you mean '--backend'?"
run 64 run -q x.yaml
has err "'run' has no option '-q'"
run 64 run
has err "'run' needs FILE" "see 'rkpipe run --help'"
run 64 run a.yaml b.yaml
has err "'b.yaml' is one too many"
run 64 run a.yaml --progress
has err '--progress needs a value'
run 64 run a.yaml --progress=bars
has err "--progress does not know 'bars'" "did you mean 'bar'?"
run 64 run a.yaml --summary=toml
has err 'it knows text, json, none'
run 64 run a.yaml --quiet=yes
has err '--quiet takes no value'
run 64 run a.yaml --var x
has err "--var needs NAME=VALUE, not 'x'"
run 64 run a.yaml --var =x
has err "--var needs NAME=VALUE, not '=x'"
run 64 run a.yaml --backend tpu
has err "--backend does not know 'tpu'"
run 64 version now
has err "'version' takes options only"
run 64 list opps
has err "'list' does not know 'opps'" "did you mean 'ops'?"
run 64 check --print --format json a.yaml
has err '--print and --format json exclude each other'
run 69 check -- --help
has out "cannot open '--help'"

for verb in bench; do
    run 69 $verb
    has err "rkpipe: '$verb' is not supported yet"
    is out ''
    run 0 $verb --help
    has out 'not supported yet'
done
for verb in status drain; do
    run 69 $verb
    has err 'no engine runs in this folder' '--admin unix:PATH'
    run 64 $verb word
done
for verb in activate suspend resume restart terminate tap; do
    run 69 $verb word
    has err 'no engine runs in this folder'
    run 64 $verb
done
run 69 status --admin unix:nowhere.sock
has err "cannot reach an engine at 'nowhere.sock': No such file or directory"
run 0 list metrics
has out 'rkpipe_kernel_in_rows_total{kernel}' 'counter, rows: rows taken, or read by a source' 'rkpipe_read_csv_files_total{kernel}'
run 0 list metrics --format json
has out '"name": "rkpipe_dead_letter_rows_total"' '"unit": "seconds"' '"reason"'
run 69 run gone.yaml
has err "cannot open 'gone.yaml': No such file or directory"

run 0 version
has out 'rkpipe ' 'backends' 'cpu'
run 0 --version
has out 'rkpipe '
run 0 version --json
has out '"version": "' '"backends": [' '"cpu"'
checks=$((checks + 1))
code=0
"$rkpipe" version >/dev/full 2>err || code=$?
[ "$code" = 1 ] || bad "a full disk gives exit $code, not 1"
has err 'cannot write to standard output'
finish
