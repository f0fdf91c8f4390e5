#!/bin/sh
# Runs a master as an operator of LIB-ZC does: control.sh start|stop|reload|restart. A restart starts
# whatever has become of the stop.
#
# MASTER_CMD is the master, SERVICE_DIR the directory of its settings files, PID_FILE its lock;
# LOG_SERVICE and SERVER_LOG are passed on if they are set.

is_running() {
  ! $MASTER_CMD -pid-file "$PID_FILE" --try-lock 2>/dev/null
}

start() {
  if is_running; then
    echo "it is running already"
    exit 1
  fi
  set -- -C "$SERVICE_DIR" -pid-file "$PID_FILE"
  [ -z "$LOG_SERVICE" ] || set -- "$@" -log-service "$LOG_SERVICE"
  [ -z "$SERVER_LOG" ] || set -- "$@" -server-log "$SERVER_LOG"
  $MASTER_CMD "$@" &
  # Its lock is to be had within a tenth of a second, or else within one second more.
  $MASTER_CMD -sleep 100
  is_running && exit 0
  $MASTER_CMD -sleep 1000
  is_running && exit 0
  echo "it does not start"
  exit 1
}

stop() {
  if ! is_running; then
    echo "it is not running"
    exit 1
  fi
  kill "$(head -n 1 "$PID_FILE")"
  for _ in 1 2 3 4 5; do
    is_running || return 0
    $MASTER_CMD -sleep 1000
  done
  echo "it does not stop"
  exit 1
}

reload() {
  if ! is_running; then
    echo "it is not running"
    exit 1
  fi
  kill -HUP "$(head -n 1 "$PID_FILE")"
}

umask 002
touch "$PID_FILE"
case $1 in
  start) start ;;
  stop) stop ;;
  reload) reload ;;
  restart)
    (stop)
    start
    ;;
  *)
    echo "usage: $0 start|stop|reload|restart"
    exit 1
    ;;
esac
