#!/bin/sh
# Starts, stops and reloads a master the way an installation's script does it.
# Usage: control.sh start|stop|reload, with MASTER_CMD, CONF, PID_FILE and LOG in the environment.

is_free() { $MASTER_CMD -pid-file "$PID_FILE" --try-lock; }
nap() { $MASTER_CMD -sleep "$1"; }

start() {
  is_free || { echo "runs already"; exit 1; }
  $MASTER_CMD -C "$CONF" -pid-file "$PID_FILE" >>"$LOG" 2>&1 &
  nap 100
  is_free || return 0
  nap 1000
  is_free || return 0
  echo "has not started"; exit 1
}

stop() {
  is_free && { echo "does not run"; exit 1; }
  kill "$(head -n 1 "$PID_FILE")"
  for _ in 1 2 3 4 5; do
    is_free && return 0
    nap 1000
  done
  echo "has not stopped"; exit 1
}

reload() {
  is_free && { echo "does not run"; exit 1; }
  kill -HUP "$(head -n 1 "$PID_FILE")"
}

"$1"
