#!/usr/bin/env bash
# A service manager is told when a run is ready, reloads, stops and lives; the unit file is one that systemd takes.
. "$(dirname "$0")/lib.sh"

command -v python3 >/dev/null || { echo 'skipped: no python3, which plays the service manager'; exit 77; }

cat >manager.py <<'END'
# manager.py SOCKET FILE: each datagram that comes to SOCKET, as a line of FILE.
import socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\0" + name[1:] if name[0] == "@" else name)
out = open(sys.argv[2], "w", buffering=1)
while True:
    out.write(s.recv(4096).decode().replace("\n", " ") + "\n")
END
manager= # its process
manage() { # manage SOCKET FILE
    python3 manager.py "$1" "$2" 2>manager.err &
    manager=$!
    true_that 'the manager does not begin' until_true test -f "$2"
}
no_manager() {
    kill "$manager"
    wait "$manager" 2>/dev/null
}
told() { # told FILE TEXT: in the end
    true_that "it is not told '$2': $(tr '\n' ';' <"$1")" until_true grep -qF -- "$2" "$1"
}

cat >p.yaml <<'END'
version: 1
name: live
run: { mode: stream }
kernels:
  numbers: { op: generate, with: { columns: { n: row }, rate: 1000/s } }
  double: { op: map, from: [numbers], with: { derive: { m: n * 2 } } }
  out: { op: write.null, from: [double] }
END

# A stream: ready, alive, reloaded, and stopping.
manage "$work/notify" told1
export NOTIFY_SOCKET="$work/notify" WATCHDOG_USEC=100000
start p.yaml
told told1 'READY=1 STATUS=running'
told told1 'WATCHDOG=1'
sed -i 's/n \* 2/n * 3/' p.yaml
run 0 reload
told told1 'RELOADING=1 STATUS=reloading MONOTONIC_USEC='
told told1 'READY=1 STATUS=running, generation 2'
sed -i 's/n \* 3/n * nothing/' p.yaml
run 2 reload
told told1 'READY=1 STATUS=running, generation 2; the last reload changed nothing'
stop
told told1 'STOPPING=1'
checks=$((checks + 1))
[ "$(grep -c '^STOPPING=1' told1)" = 1 ] || bad 'it is told more than once that it stops'
checks=$((checks + 1))
[ "$(grep -nm1 '^WATCHDOG' told1 | cut -d: -f1)" -gt "$(grep -nm1 '^READY' told1 | cut -d: -f1)" ] || bad 'alive before it is ready'
no_manager

# An abstract socket, another process's watchdog, a job that is over at once; a command of the pipeline hears of none of it.
cat >job.yaml <<'END'
version: 1
name: job
engine: { allow_exec: true }
kernels:
  read: { op: read.exec, with: { argv: [env] } }
  out: { op: write.csv, from: [read], with: { path: env.csv } }
END
manage "@rkpipe-test-$$" told2
export NOTIFY_SOCKET="@rkpipe-test-$$" WATCHDOG_PID=1
run 0 run job.yaml
told told2 'READY=1'
told told2 'STOPPING=1'
hasnt told2 'WATCHDOG=1'
has env.csv 'PATH='
hasnt env.csv 'NOTIFY_SOCKET'
hasnt env.csv 'WATCHDOG_'
no_manager

# Nobody there, and what is no socket: the pipeline runs.
export NOTIFY_SOCKET="$work/nobody"
run 0 run job.yaml
has err "warning: cannot reach NOTIFY_SOCKET '$work/nobody'"
export NOTIFY_SOCKET=vsock:2:1234
run 0 run job.yaml
has err 'warning: NOTIFY_SOCKET is no path of a unix socket'
unset NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID

# A pipeline that is not valid is never ready.
manage "$work/notify3" told3
export NOTIFY_SOCKET="$work/notify3"
run 78 run -
is told3 ''
unset NOTIFY_SOCKET
no_manager

# The unit.
if command -v systemd-analyze >/dev/null; then
    sed "s|/usr/local/bin/rkpipe|$rkpipe|" "$source/packaging/rkpipe@.service" >rkpipe@.service
    true_that "systemd does not take the unit: $(systemd-analyze verify ./rkpipe@.service 2>&1)" systemd-analyze verify ./rkpipe@.service
    true_that 'the unit leaves too much open' systemd-analyze security --offline=true --threshold=20 --no-pager ./rkpipe@.service
else
    echo 'skipped: no systemd-analyze, so the unit is not checked'
fi

finish
