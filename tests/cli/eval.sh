#!/usr/bin/env bash
# rkpipe eval.
. "$(dirname "$0")/lib.sh"

value() { # value EXPR TEXT
    run 0 eval "$1"
    is out "$2"$'\n'
}
value '1 + 2 * 3' 7
value '-7 // 2' -3
value '1 / 4' 0.25
value 'round(1234.567 * 0.029 + 0.30, 2)' 36.1
value "concat('a', 'b')" ab
value 'null' null
value '1 == 1 && !(2 < 1)' true
value "'two words'" 'two words'
run 0 eval -- '-1'
is out $'-1\n'
run 0 eval 'var.x * 2 + var.y' --var x=3 --var y=0.5
is out $'6.5\n'
run 0 eval 'upper(var.s)' --var s='a b'
is out $'A B\n'

run 78 eval '1 + x'
has err "expression:1:5: error: no column 'x'" '    1 | 1 + x' '      |     ^'
run 78 eval '1 +'
has err 'expression:1:' '[expr-syntax]'
run 1 eval '1 // 0'
has err "'1 // 0' has no value" 'by zero'
run 64 eval
has err "'eval' needs EXPR"

printf 'amount,who\n600.5,ann\n,bob\n20,"c, d"\n' >in.csv
run 0 eval 'amount > var.least' --var least=500 --input in.csv
is out $'true\n\nfalse\n'
run 0 eval 'upper(who)' --input in.csv
is out $'ANN\nBOB\n"C, D"\n'
run 78 eval 'amont * 2' --input in.csv
has err "expression:1:1: error: no column 'amont'" "did you mean 'amount'?" '    1 | amont * 2'
run 69 eval 'a' --input gone.csv
has err 'gone.csv'
run 64 eval 'a' --input in.xml
has err "does not know what is in 'in.xml'"
printf '{"a":1,"b":{"c":"x"}}\n{"a":2}\n' >in.jsonl
run 0 eval 'a + 1' --input in.jsonl
is out $'2\n3\n'
finish
