#!/usr/bin/env bash
# Completion: the scripts are whole, and bash's offers what it should.
. "$(dirname "$0")/lib.sh"

run 0 completion bash
true_that 'bash can read it' bash -n out
cp out rkpipe.bash
run 0 completion zsh
! command -v zsh >/dev/null || true_that 'zsh can read it' zsh -n out
has out '#compdef rkpipe'
run 0 completion fish
! command -v fish >/dev/null || true_that 'fish can read it' fish --no-execute out
has out 'complete -c rkpipe'
run 64 completion bsh
has err "did you mean 'bash'?"

touch job.yaml other.txt
mkdir folder
offers() { # offers 'LINE' WORD..: what bash offers for the last word of the line
    local line=$1 words
    shift
    read -r -a words <<<"$line"
    [[ $line != *' ' ]] || words+=('')
    last="completion of '$line'"
    code=0
    bash -c 'source ./rkpipe.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rkpipe; printf "%s\n" "${COMPREPLY[@]}"' \
        - "${words[@]}" >out 2>err
    for word in "$@"; do
        checks=$((checks + 1))
        grep -qxF -- "$word" out || bad "does not offer '$word'"
    done
    is err ''
}
offers 'rkpipe ' run check completion --help
offers 'rkpipe ch' check
hasnt out run
offers 'rkpipe run --' --var --backend --help
has out --watch
offers 'rkpipe run --backend ' auto cpu cuda
offers 'rkpipe run ' job.yaml folder
hasnt out other.txt
offers 'rkpipe describe read.' read.csv
offers 'rkpipe list ' ops functions
offers 'rkpipe completion z' zsh
offers 'rkpipe eval x --input ' other.txt job.yaml
finish
