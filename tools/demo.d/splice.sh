# Part 4: real load through two sidecars, moved by the kernel.

declare here bin work  # set by the demo and pods_begin

splice_part() {
  title "4. Redis and a bulk transfer through two sidecars"
  say <<-'TEXT'
	client-0 and store-0 both have a sidecar, so each connection is relayed twice. The application dials the service's
	address and knows nothing of it:

	  redis-benchmark ── 15001 agent of client-0 ──────────── 15006 agent of store-0 ── redis-server
	TEXT
  mesh_begin splice
  apply "$here/../deploy/samples/mesh.yaml" mesh-config.yaml
  apply "$here/../deploy/samples/splice/mesh.yaml"
  pod_add client-0 10.12.3.10
  pod_add store-0 10.12.4.10
  app_start store-0 6379 redis-server --port 6379 --bind '* -::*' --protected-mode no --save '' --appendonly no \
    --dir "$work" --unixsocket "$work/redis.sock"
  app_start store-0 7000 "$bin/sm-streams" server --listen 0.0.0.0:7000
  sidecar_start client-0 data 10.12.3.10
  sidecar_start store-0 data 10.12.4.10
  show "sockmeshctl status" ctl client-0 status
  spliced=$(ctl client-0 status -o json | jq -r 'any(.lanes[]; .lane == "sk_skb" and .enabled)')
  [[ $spliced == true ]] || say <<-'TEXT'
	The self-test of the sockmap lane did not pass on this kernel (see above), so what follows stays in user space: the
	counts are checked all the same.
	TEXT
  redis_load
  bulk_transfer 500000000
  [[ $spliced == true ]] || return 0
  say <<-'TEXT'
	By default an agent decides from what a flow does: spliced as redis's, or left in user space, where a lone bulk
	transfer is faster. The last column above says what it decided and why. Now agents that splice everything:
	TEXT
  local pod
  for pod in client-0 store-0; do agent_stop "$pod"; done
  agent_start client-0 data 10.12.3.10 --role sidecar --data-path sockmap
  agent_start store-0 data 10.12.4.10 --role sidecar --data-path sockmap
  bulk_transfer 1000000000
}

redis_load() {
  mark client-0 store-0
  redis-cli -s "$work/redis.sock" config resetstat >/dev/null
  in_pod_start client-0 "$work/benchmark" redis-benchmark -h 10.0.40.1 -c 8 -n 60000 -t set,get -d 256 --csv
  local benchmark=$!
  wait_for "redis-benchmark's connections" flows_open client-0 8
  [[ $spliced != true ]] || wait_for "the policy to choose the kernel" any_in_lane client-0 sk_skb
  show "sockmeshctl flows | head -n 6   # of client-0, while redis-benchmark runs" head_of 6 ctl client-0 flows
  [[ $spliced != true ]] || claim "they are spliced: the kernel moves their bytes" any_in_lane client-0 sk_skb
  wait "$benchmark" || { cat "$work/benchmark" && return 1; }
  show "redis-benchmark -h 10.0.40.1 -c 8 -n 60000 -t set,get -d 256 --csv" cat "$work/benchmark"
  wait_for "all connections to be closed" flows_open client-0 0
  wait_for "all connections to be closed" flows_open store-0 0
  local input output
  # What redis itself counted, less what asking it costs: RESETSTAT's answer (5 bytes) and the INFO request (25).
  redis-cli -s "$work/redis.sock" info stats >"$work/redis-stats"
  input=$(($(redis_stat total_net_input_bytes) - 25))
  output=$(($(redis_stat total_net_output_bytes) - 5))
  say <<<"redis-server counted $input bytes in and $output bytes out. The sidecars, summed over their log lines:"
  local pod
  for pod in client-0 store-0; do
    wait_for "the log of $pod to add up" sums_are "$pod" "$input" "$output" || true
    claim "the agent of $pod counted exactly as many" sums_are "$pod" "$input" "$output"
  done
}

flows_open() { # POD COUNT (0: none, else at least)
  local have
  have=$(ctl "$1" flows -o json | jq .total)
  (($2 == 0 ? have == 0 : have >= $2))
}
any_in_lane() { # POD LANE
  ctl "$1" flows -o json | jq -e "any(.flows[]; .lane == \"$2\")"
}
data_path() { ctl "$1" status -o json | jq -r .dataPath.mode; }
redis_stat() { sed -n "s/^$1:\([0-9]*\).*/\1/p" "$work/redis-stats"; }
head_of() { "${@:2}" | sed -n "1,$1p"; }  # reads to the end: nobody meets a closed pipe
sums_are() { # POD RECEIVED SENT
  local have
  have=$(logged "$1" | awk '{ received += $(NF - 14); sent += $(NF - 13) } END { printf "%.0f %.0f", received, sent }')
  [[ $have == "$2 $3" ]] || { echo "$have, expected $2 $3" && return 1; }
}

bulk_transfer() { # BYTES
  local bytes=$1 held=$(($1 - 10000)) pod
  say <<-TEXT
	A stream of $bytes checksummed bytes. Shortly before its end, at $held, it holds, so that the open flow can be
	looked at from both sidecars.
	TEXT
  mark client-0 store-0
  : >"$work/bulk"
  in_pod_start client-0 "$work/bulk" "$bin/sm-streams" client --connect 10.0.40.1:7000 --mode upload \
    --bytes "$bytes" --hold-at "$held"
  local transfer=$!
  wait_for "the transfer to hold" grep -q holding "$work/bulk"
  for pod in client-0 store-0; do
    wait_for "the counters of $pod" flow_counts "$pod" "$held" || true
    show "sockmeshctl flows   # of $pod" ctl "$pod" flows
    claim "$pod: the open flow has $held bytes, to the byte" flow_counts "$pod" "$held"
    [[ $(data_path "$pod") != sockmap ]] || claim "$pod: and is spliced" any_in_lane "$pod" sk_skb
  done
  kill -USR1 "$transfer"
  wait "$transfer" || { cat "$work/bulk" && return 1; }
  show "sm-streams client --connect 10.0.40.1:7000 --mode upload --bytes $bytes" tail -n 1 "$work/bulk"
  for pod in client-0 store-0; do
    wait_logged "$pod"
    show "kubectl logs $pod -c istio-proxy" logged "$pod"
    claim "$pod's log line has the application's counts: $bytes there, 88 (the server's receipt) back" \
      same_counts "$pod" "$bytes" 88
  done
  claim "the server found every byte right" jq -se '.[-1].ok' "$work/bulk"
}
flow_counts() { # POD RECEIVED
  ctl "$1" flows -o json | jq -e "[.flows[] | .bytesReceived] == [$2]"
}
