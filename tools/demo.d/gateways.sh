# Part 2: gateways. Two published walkthroughs, on their own manifests.

declare here bin work  # set by the demo and pods_begin

manifests=$here/../deploy/samples

weights_part() {
  title "2. A gateway that sends 80% of the connections to v1 and 20% to v2"
  say <<-'TEXT'
	"Raw TCP traffic shaping with Istio": a gateway on port 31400 and a weighted route to the two versions of a TCP
	echo server, one of which answers with the prefix "one", the other with "two". The client is outside of the mesh.
	TEXT
  mesh_begin weights
  # shellcheck disable=SC2034  # read in mesh.sh
  dialled=''
  apply "$manifests/mesh.yaml" mesh-config.yaml
  apply "$manifests/weights/mesh.yaml"
  pod_add tcp-echo-v1 172.17.0.5
  pod_add tcp-echo-v2 172.17.0.6
  pod_add ingressgateway 192.168.99.100
  pod_add outside 192.168.99.1
  app_start tcp-echo-v1 9000 "$bin/sm-echo" 9000 one
  app_start tcp-echo-v2 9000 "$bin/sm-echo" 9000 two
  agent_start ingressgateway istio-system 192.168.99.100 --role gateway
  show "sockmeshctl listeners   # of the gateway" ctl ingressgateway listeners
  show "sockmeshctl explain 192.168.99.100:31400" ctl ingressgateway explain 192.168.99.100:31400
  mark ingressgateway
  local count=400 one two
  answers=$(ask_often outside 192.168.99.100 31400 "$count")
  show "for i in {1..10}; do (date; sleep 1) | nc 192.168.99.100 31400; done   # the first of $count" \
    head -n 10 <<<"$answers"
  one=$(grep -c '^one ' <<<"$answers") || true
  two=$(grep -c '^two ' <<<"$answers") || true
  echo
  echo "    one: $one, two: $two"
  claim "all $count connections were answered" test $((one + two)) = "$count"
  # Five standard deviations of a fair draw (8 connections each) to either side.
  claim "80% of them by v1, as far as 400 draws can tell (280 to 360)" between "$one" 280 360
  wait_logged ingressgateway "$count"
  claim "the gateway logged $one connections to subset v1" cluster_count ingressgateway "$one" 'outbound|9000|v1|tcp-echo-server.default.svc.cluster.local'
  claim "and $two to subset v2" cluster_count ingressgateway "$two" 'outbound|9000|v2|tcp-echo-server.default.svc.cluster.local'
  show "kubectl logs ingressgateway | tail -n 3" tail -n 3 "$work/ingressgateway.log"
}

between() { (($1 >= $2 && $1 <= $3)); }
cluster_count() { # POD COUNT CLUSTER
  local have
  have=$(logged "$1" | grep -cF " $3 ") || true
  [[ $have == "$2" ]] || { echo "$have" && return 1; }
}

# One connection after the other, all from one shell.
ask_often() { # POD ADDRESS PORT COUNT
  # shellcheck disable=SC2016
  in_pod "$1" timeout 60 bash -c '
    for ((i = 0; i < $2; ++i)); do
      exec 3<>"/dev/tcp/$0/$1" && date >&3 && IFS= read -r answer <&3 && echo "$answer"
      exec 3>&-
    done' "$2" "$3" "$4"
}

two_gateways_part() {
  title "3. Two gateways in front of two subsets"
  say <<-'TEXT'
	"Use Istio route rules to control ingress TCP traffic": port 31400 belongs to one Gateway and leads to v1, port
	31401 to another one and to v2. The server speaks first: nobody may wait for the client's bytes here.
	TEXT
  mesh_begin two-gateways
  apply "$manifests/mesh.yaml" mesh-config.yaml
  apply "$manifests/two-gateways/mesh.yaml"
  local v1=tcp-echo-v1-7c775f57c9-frprp v2=tcp-echo-v2-6bcfd7dcf4-2sqhf
  pod_add "$v1" 172.16.2.90
  pod_add "$v2" 172.16.2.95
  pod_add istio-ingressgateway 172.16.1.7
  pod_add terminal 172.16.99.1
  local pod
  for pod in "$v1" "$v2"; do
    app_start "$pod" 3333 "$bin/sm-echo" 3333 "" "Welcome, you are connected. Running on Pod $pod."
  done
  agent_start istio-ingressgateway istio-system 172.16.1.7 --role gateway
  show "sockmeshctl listeners   # of the gateway" ctl istio-ingressgateway listeners
  gateway_leads_to 31400 v1 "$v1" "hello, app1"
  gateway_leads_to 31401 v2 "$v2" "hello, app2"
}

gateway_leads_to() { # PORT SUBSET POD TEXT
  mark istio-ingressgateway
  show "sockmeshctl explain 172.16.1.7:$1" ctl istio-ingressgateway explain "172.16.1.7:$1"
  local answers
  answers=$(listen_then_say terminal 172.16.1.7 "$1" "$4") || true
  show "nc 172.16.1.7 $1" cat <<<"$answers"
  claim "the server of $2 spoke first" grep -qF "Running on Pod $3." <<<"$(head -n 1 <<<"$answers")"
  claim "and echoed \"$4\"" grep -qxF "$4" <<<"$answers"
  wait_logged istio-ingressgateway
  show "kubectl logs istio-ingressgateway" logged istio-ingressgateway
  claim "the gateway's log line says so: port $1 to subset $2" \
    is_logged istio-ingressgateway cluster "outbound|3333|$2|tcp-echo.default.svc.cluster.local"
}

# Says nothing before the server has spoken.
listen_then_say() { # POD ADDRESS PORT TEXT
  # shellcheck disable=SC2016
  in_pod "$1" timeout 10 bash -c '
    exec 3<>"/dev/tcp/$0/$1"
    IFS= read -r welcome <&3 && echo "$welcome"
    echo "$2" >&3
    IFS= read -r echoed <&3 && echo "$echoed"' "$2" "$3" "$4"
}
