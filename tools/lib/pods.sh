# Network namespaces as pods, for bash scripts: source it, then
#
#   pods_begin NAME            a work folder $work, a namespace $node, and clean-up on every way out
#   pod_add POD IPV4 [IPV6]    a pod of the node
#   pod_run POD COMMAND...     runs a command in the pod, in the foreground; Ctrl-C ends it at once
#   pod_start POD LOG COMMAND  starts one in the background, output to $work/LOG; its process id is in $!
#   wait_for TEXT COMMAND...   asks until the command succeeds; fails after 30 s and says what it waited for
#
# Namespaces are called NAME-<process id>-<pod>. Three things see to it that nothing stays behind: a trap, a guard
# process that cleans up after a script that was killed (it runs in a session of its own), and the next
# pods_begin, which removes what both could not (a reboot empties only half of it).

# The namespaces of a run, by its prefix.
pods_of() { # NAME-PID
  local path
  for path in /run/netns/"$1"-*; do
    [[ -e $path ]] && basename "$path"
  done
  return 0
}

pods_remove() { # NAME-PID
  local name pids
  for name in $(pods_of "$1"); do
    # Twice at most: what was just forking may have been missed.
    for _ in 1 2; do
      pids=$(ip netns pids "$name" 2>/dev/null) || true
      # Some of them may be gone by now.
      # shellcheck disable=SC2086
      [[ -z $pids ]] || kill -KILL $pids 2>/dev/null || true
    done
    ip netns delete "$name" 2>/dev/null || true
  done
  rm -rf "/tmp/$1"
}

# Runs that ended without cleaning up: their script is gone, and they were not kept on purpose.
pods_remove_leftovers() { # NAME [all]
  local path run pid
  for path in /tmp/"$1"-* /run/netns/"$1"-*; do
    [[ -e $path ]] || continue
    run=$(basename "$path")
    pid=${run#"$1"-}
    pid=${pid%%-*}
    run=$1-$pid
    if [[ ! $pid =~ ^[0-9]+$ ]] || kill -0 "$pid" 2>/dev/null; then continue; fi
    [[ -e /tmp/$run/kept && ${2:-} != all ]] || pods_remove "$run"
  done
}

pods_begin() { # NAME
  pods_prefix=$1-$$
  work=/tmp/$pods_prefix
  pods_remove_leftovers "$1"
  mkdir -m 755 "$work"
  trap pods_end EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  # shellcheck disable=SC2016
  setsid bash -c 'source "$1"; tail -s 0.2 --pid="$2" -f /dev/null; [[ -e /tmp/$3/kept ]] || pods_remove "$3"' \
    guard "${BASH_SOURCE[0]}" $$ "$pods_prefix" </dev/null >/dev/null 2>&1 &
  disown $!

  node=$pods_prefix-node
  ip netns add "$node"
  ip -n "$node" link set lo up
  pods_sysctl "$node" net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
}

pods_end() {
  trap '' INT TERM HUP
  exec 2>/dev/null  # bash tells of every killed child
  [[ -e $work/kept ]] || pods_remove "$pods_prefix"
}

pods_sysctl() { # NAMESPACE SETTING...
  nsenter --net=/run/netns/"$1" sysctl -q -w "${@:2}"
}

# Routed, as most clusters do it: a pod has its address alone (/32) and one neighbour, the node, which has a veth and
# a route to each pod. Addresses no pod has, those of services above all, end at the node.
pod_add() { # POD IPV4 [IPV6]
  local name=$pods_prefix-$1 port
  port=p$(ip -n "$node" -o link show type veth | wc -l)
  ip netns add "$name"
  pods_sysctl "$name" net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
  ip -n "$node" link add "$port" type veth peer name eth0 netns "$name"
  ip -n "$node" -batch - <<-BATCH
	addr add 169.254.1.1/32 dev $port
	link set $port up
	addr add fe80::1/64 dev $port nodad
	route add $2/32 dev $port
	${3:+route add $3/128 dev $port}
	BATCH
  ip -n "$name" -batch - <<-BATCH
	link set lo up
	addr add $2/32 dev eth0
	link set eth0 up
	route add 169.254.1.1 dev eth0
	route add 0.0.0.0/0 via 169.254.1.1
	${3:+addr add $3/128 dev eth0 nodad}
	${3:+route add ::/0 via fe80::1 dev eth0}
	BATCH
}

pod_run() { # POD COMMAND...
  # In the background, because bash handles signals only between commands, but at once while it waits.
  nsenter --net=/run/netns/"$pods_prefix-$1" "${@:2}" <&0 &
  wait $!
}

pod_start() { # POD LOG COMMAND...
  nsenter --net=/run/netns/"$pods_prefix-$1" "${@:3}" </dev/null >>"$work/$2" 2>&1 &
}

wait_for() { # TEXT COMMAND...
  local what=$1 tries=0
  shift
  until "$@" >/dev/null 2>&1; do
    if ((++tries > 600)); then
      echo "waited 30 s in vain: $what" >&2
      return 1
    fi
    sleep 0.05
  done
}
