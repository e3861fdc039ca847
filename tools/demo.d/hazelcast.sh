# Part 1: the story of a Hazelcast cluster that an ExternalName Service in another namespace broke.

declare here bin hosts node  # set by the demo, pods_begin and mesh_begin

client=manager-7948dffbdd-p44xx  # 10.12.0.12, the pod the story looks from
other=manager-7948dffbdd-sh7rx   # 10.12.2.8, its peer
hazelcast=$here/../deploy/samples/hazelcast

# Both listen addresses of a listener table that concern port 5701, as one line: "10.0.18.143_5701 ...".
listeners_5701() { # POD
  ctl "$1" listeners -o json | jq -r '[.listeners[] | select(.direction == "outbound") | .name | select(endswith("_5701"))] | sort | join(" ")'
}
listeners_are() { # POD NAMES
  [[ $(listeners_5701 "$1") == "$2" ]] || { listeners_5701 "$1" && return 1; }
}
show_listeners() {
  show "sockmeshctl listeners --port 5701" ctl "$client" listeners --port 5701
}
show_explain() { # ADDRESS:PORT
  show "sockmeshctl explain $1" ctl "$client" explain "$1"
}
explains() { # ADDRESS:PORT JQ-CONDITION
  ctl "$client" explain "$1" -o json | jq -e "$2"
}
# Asks from the client's pod, and shows question, answer and the access-log line.
call() { # ADDRESS [POD whose log is shown as well]
  mark "$client" "$other"
  # shellcheck disable=SC2034  # read in mesh.sh
  dialled=$1:5701
  answer=$(ask "$client" "$1" 5701 hello) || true
  echo
  echo "  $client: \$ echo hello | nc $1 5701"
  echo "$answer" | quote
  wait_logged "$client"
  show "kubectl logs $client -c istio-proxy" logged "$client"
  if [[ -n ${2:-} ]]; then
    wait_logged "$2"
    show "kubectl logs $2 -c istio-proxy" logged "$2"
  fi
}

hazelcast_part() {
  title "1. A cluster that another namespace broke"
  say <<-'TEXT'
	Two applications, `manager` and `app`, both run Hazelcast on port 5701. Each database finds its peers by asking
	Kubernetes for pod addresses and connects to them directly. A third Service, `idle`, has no port 5701 at all.
	All of it is as in the article this story was first told in (Istio 1.5), addresses included:

	  manager-…-p44xx 10.12.0.12  ─┐                          manager.manager  10.0.23.154   8080, 5701
	  manager-…-sh7rx 10.12.2.8   ─┤ sidecar: sockmesh-init   app.app          10.0.18.143   8080, 5701
	                               └ and sockmesh-agent       idle.manager     10.0.23.221   8080
	TEXT
  mesh_begin hazelcast
  pod_add "$client" 10.12.0.12
  pod_add "$other" 10.12.2.8
  echo '10.0.23.221 idle.manager.svc.cluster.local' >>"$hosts"
  # Nobody answers for a port that a Service does not have: kube-proxy leaves such packets alone and they get lost.
  ip -n "$node" route add blackhole 10.0.23.221/32
  for file in services pods mesh-1.5; do apply "$hazelcast/$file.yaml" "${file/-1.5/}.yaml"; done
  app_start "$client" 5701 "$bin/sm-echo" 5701 "$client says"
  app_start "$other" 5701 "$bin/sm-echo" 5701 "$other says"
  sidecar_start "$client" manager 10.12.0.12
  sidecar_start "$other" manager 10.12.2.8

  service_address
  pod_address
  external_name
  own_address
  today
  cure
}

service_address() {
  title "1.1 The service's address"
  show_listeners
  claim "port 5701 has one outbound listener for each of the two Services" \
    listeners_are "$client" "10.0.18.143_5701 10.0.23.154_5701"
  call 10.0.23.154
  claim "the connection to the service's address took the service's cluster" \
    is_logged "$client" cluster "outbound|5701||manager.manager.svc.cluster.local"
  claim "both byte counts are the application's: 6 there (hello and a newline), ${#answer} + 1 back" \
    same_counts "$client" 6 $((${#answer} + 1))
  show_explain 10.0.23.154:5701
  local seen
  seen=$(for _ in {1..30}; do ask "$client" 10.0.23.154 5701 hello; done | sort | uniq -c)
  echo "$seen" | quote
  claim "over thirty connections both pods of the service answered" two_answers "$seen"
}
two_answers() { (($(wc -l <<<"$1") == 2)); }
same_counts() { # POD RECEIVED SENT
  is_logged "$1" received "$2" && is_logged "$1" sent "$3"
}

pod_address() {
  title "1.2 A pod's address"
  say <<-'TEXT'
	Hazelcast does not use the service's address. It dials the peer's pod, which no listener knows.
	TEXT
  call 10.12.2.8 "$other"
  claim "$other answered" test "$answer" = "$other says hello"
  claim "the connection left through PassthroughCluster" is_logged "$client" cluster PassthroughCluster
  claim "it went to the very address the application dialled" is_logged "$client" upstream 10.12.2.8:5701
  claim "$other's sidecar took it in by the inbound cluster, in 1.5's spelling" \
    is_logged "$other" cluster "inbound|5701|tcp-hazelcast|manager.manager.svc.cluster.local"
  show_explain 10.12.2.8:5701
}

external_name() {
  title "1.3 Somebody adds an ExternalName Service to the other namespace"
  show "cat app-ext.yaml" cat "$hazelcast/app-ext.yaml"
  apply "$hazelcast/app-ext.yaml" app-ext.yaml
  wait_for "the listener 0.0.0.0_5701" listeners_are "$client" "0.0.0.0_5701 10.0.18.143_5701 10.0.23.154_5701"
  show_listeners
  claim "there is a listener for 5701 on every address now" \
    explains 10.12.2.8:5701 '.listener == "0.0.0.0_5701"'
  call 10.12.2.8
  claim "the peer did not answer" test "$answer" != "$other says hello"
  claim "the connection was sent to the Service of the other namespace" \
    is_logged "$client" cluster "outbound|5701||app-ext.app.svc.cluster.local"
  claim "the address is the one its name resolves to" is_logged "$client" upstream 10.0.23.221:5701
  claim "nobody is there: connection failure, attempts used up (UF,URX)" is_logged "$client" flags UF,URX
  claim "it took the mesh's connect timeout, one second" took "$client" 900 2500
  show_explain 10.12.2.8:5701
  claim "explain names the object that took the port" \
    explains 10.12.2.8:5701 '[.. | objects | select(.name? == "app-ext" and .namespace? == "app")] | length > 0'
}
took() { # POD FROM TO (ms)
  local duration
  duration=$(field "$1" duration)
  ((duration >= $2 && duration <= $3)) || { echo "$duration ms" && return 1; }
}

own_address() {
  title "1.4 The pod's own address"
  say <<-'TEXT'
	The same wildcard listener of 1.5 has one more surprise: its first filter chain sends the pod's own address to
	BlackHoleCluster. The standard rules let a pod talk to itself over `lo` without capture; to see the chain at work
	this pod captures loopback traffic too (a loopback range among the included ones lifts that rule).
	TEXT
  show "sockmesh-init --cleanup-only … && sockmesh-init -i 10.0.0.0/8,127.0.0.8/29 …" \
    capture '*' 10.0.0.0/8,127.0.0.8/29
  call 10.12.0.12
  claim "the application that listens there did not answer" test "$answer" != "$client says hello"
  claim "the connection was sent to BlackHoleCluster" is_logged "$client" cluster BlackHoleCluster
  claim "no healthy upstream (UH)" is_logged "$client" flags UH
  show_explain 10.12.0.12:5701
  show "sockmesh-init --cleanup-only … && sockmesh-init -i '*' …" capture 10.0.0.0/8,127.0.0.8/29 '*'
}
# Takes the rules for one list of outbound ranges back and writes those for another.
capture() { # RANGES-BEFORE RANGES
  local common=(-p 15001 -z 15006 -u 1337 -m REDIRECT -x '' -b '*' -d '15090,15021,15020')
  pod_run "$client" "$bin/sockmesh-init" "${common[@]}" -i "$1" --cleanup-only &&
    pod_run "$client" "$bin/sockmesh-init" "${common[@]}" -i "$2"
}

today() {
  title "1.5 The same with today's Istio"
  say <<-'TEXT'
	Istio has changed since: an ExternalName is an alias and opens no listener, and the wildcard listener lost its
	own-address chain. Without compatibilityVersion "1.5" in MeshConfig the agent does as today's Istio does.
	TEXT
  apply "$hazelcast/mesh-today.yaml" mesh.yaml
  wait_for "the wildcard listener to go" listeners_are "$client" "10.0.18.143_5701 10.0.23.154_5701"
  show_listeners
  call 10.12.2.8 "$other"
  claim "app-ext still exists, and the peer answered" test "$answer" = "$other says hello"
  claim "the connection left through PassthroughCluster" is_logged "$client" cluster PassthroughCluster
  claim "inbound clusters are called by port alone now" is_logged "$other" cluster "inbound|5701||"
  show_explain 10.12.2.8:5701
}

cure() {
  title "1.6 The cure, for those who are still on 1.5"
  say <<-'TEXT'
	Back to 1.5, where the port is taken again, and then the article's cure: app-ext is exported to its own namespace
	only. Nothing else has to change.
	TEXT
  apply "$hazelcast/mesh-1.5.yaml" mesh.yaml
  wait_for "the wildcard listener" listeners_are "$client" "0.0.0.0_5701 10.0.18.143_5701 10.0.23.154_5701"
  claim "with 1.5 the port is taken again" explains 10.12.2.8:5701 '.cluster == "outbound|5701||app-ext.app.svc.cluster.local"'
  apply "$hazelcast/app-ext-private.yaml" app-ext.yaml
  show "kubectl annotate service -n app app-ext networking.istio.io/exportTo=." \
    diff "$hazelcast/app-ext.yaml" "$hazelcast/app-ext-private.yaml" || true
  wait_for "the wildcard listener to go" listeners_are "$client" "10.0.18.143_5701 10.0.23.154_5701"
  show_listeners
  call 10.12.2.8 "$other"
  claim "the peer answers again" test "$answer" = "$other says hello"
  claim "by PassthroughCluster, as before" is_logged "$client" cluster PassthroughCluster
  show_explain 10.12.2.8:5701
}
