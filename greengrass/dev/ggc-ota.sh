#!/bin/sh
# V1's OTA agent, kept running: <root>/ota/ota_agent/ggc-ota, as root, one for a core. It works apart from the daemon,
# which it stops and starts. All of it is read before it runs: an update may take this file away.
main() {
  own=$(dirname "$(readlink -f "$0")")
  root=$(readlink -f "$own/../../..")
  link=$root/ota/ota_agent
  before=$root/ota/ota_agent.before
  stopping=
  failures=0
  while :; do
    home=$(readlink -f "$link")
    [ -x "$home/bin/node" ] || home=$own
    "$home/bin/node" "$home/dist/greengrass/core/bin/ota-agent.js" --root "$root" "$@" &
    child=$!
    trap 'stopping=1; kill -TERM "$child" 2>/dev/null' TERM INT
    wait "$child"
    code=$?
    if [ -n "$stopping" ]; then
      wait "$child"
      exit 0
    fi
    case $code in
      # 2: what only an operator can mend; said already.
      0 | 2) exit "$code" ;;
      # 75: an update has brought another agent.
      75) failures=0; continue ;;
    esac
    failures=$((failures + 1))
    # A new agent that does not stay up gives its place back to the one before.
    if [ "$failures" -ge 3 ] && [ -s "$before" ]; then
      rm -f "$link.new"
      basename "$home" >"$root/ota/ota_agent.refused"
      ln -s "../ggc/packages/$(cat "$before")" "$link.new" && mv -fT "$link.new" "$link" && rm -f "$before"
      failures=0
    fi
    sleep 2
  done
}
main "$@"
