# A mesh on one machine: pods (see ../lib/pods.sh) with and without sidecars, and a folder of manifests that plays
# the API server. Every part of the demo has a mesh of its own.

declare work pods_prefix bin  # set by pods_begin and the demo

mesh_begin() { # NAME
  mesh=$work/$1
  mkdir -p "$mesh"
  # The cluster's DNS: all pods see this file as their /etc/hosts.
  hosts=$work/hosts
  [[ -e $hosts ]] || echo '127.0.0.1 localhost' >"$hosts"
  chmod 644 "$hosts"
}

# kubectl apply, delete: a file appears in the folder or goes, in one step.
apply() { # FILE [AS]
  local to=$mesh/${2:-$(basename "$1")}
  cp "$1" "$mesh/.new"
  mv "$mesh/.new" "$to"
}
delete() { rm "$mesh/$1"; }

# The command line that runs a command inside a pod, where it sees the mesh's names, into the array `inside`.
inside_pod() { # POD COMMAND...
  # shellcheck disable=SC2016
  inside=(nsenter --net=/run/netns/"$pods_prefix-$1" unshare --mount
    bash -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$hosts" "${@:2}")
}
in_pod() { # POD COMMAND...
  inside_pod "$@"
  "${inside[@]}"
}
in_pod_start() { # POD OUTPUT COMMAND...   in the background; its process id is in $!
  inside_pod "$1" "${@:3}"
  "${inside[@]}" </dev/null >>"$2" 2>&1 &
}

# An application: waits until it listens.
app_start() { # POD PORT COMMAND...
  in_pod_start "$1" "$work/$1.app" "${@:3}"
  wait_for "the application of $1 listens on port $2" listens "$1" "$2"
}

listens() { # POD PORT
  [[ -n $(pod_run "$1" ss -Hltn "sport = :$2") ]]
}

# The interception rules and the agent of a pod, as injection would give it.
sidecar_start() { # POD NAMESPACE IP [AGENT-OPTION...]
  pod_run "$1" "$bin/sockmesh-init" -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -x '' -b '*' -d 15090,15021,15020 \
    >>"$work/$1.init" 2>&1 || { cat "$work/$1.init" && return 1; }
  agent_start "$1" "$2" "$3" --role sidecar "${@:4}"
}

declare -A agents  # process ids, by pod
agent_start() { # POD NAMESPACE IP AGENT-OPTION...
  inside_pod "$1" "$bin/sockmesh-agent" --config "$mesh" --run-dir "$work/$1.run" --drain-duration 0s "${@:4}"
  POD_NAME=$1 POD_NAMESPACE=$2 INSTANCE_IP=$3 "${inside[@]}" </dev/null >>"$work/$1.log" 2>>"$work/$1.err" &
  agents[$1]=$!
  wait_for "the agent of $1 is ready" pod_run "$1" curl -sf http://127.0.0.1:15021/healthz/ready ||
    { cat "$work/$1.err" && return 1; }
}
agent_stop() { # POD
  kill "${agents[$1]}"
  wait "${agents[$1]}"
}

ctl() { # POD ARGUMENT...
  "$bin/sockmeshctl" --run-dir "$work/$1.run" "${@:2}"
}

# One line to an address and the first line that comes back. The client is the pod's application, in plain bash.
ask() { # POD ADDRESS PORT TEXT
  # shellcheck disable=SC2016
  in_pod "$1" timeout 10 bash -c '
    exec 3<>"/dev/tcp/$0/$1" || exit 1
    exec 2>/dev/null
    echo "$2" >&3
    IFS= read -r answer <&3 || { echo "(closed without an answer)"; exit 1; }
    echo "$answer"' "$2" "$3" "$4" 2>&1
}

# --- the access log ---

declare -A marks
mark() { # POD...
  local pod
  for pod in "$@"; do marks[$pod]=$(wc -l <"$work/$pod.log"); done
}
# Access-log lines since the mark.
logged() { # POD
  tail -n +$((marks[$1] + 1)) "$work/$1.log"
}
# Those of them whose original destination is $dialled; all when that is empty. A pod that calls itself by its
# service's address has two lines for one call.
dialled=''
matching() { # POD
  logged "$1" | awk -v destination="$dialled" 'destination == "" || $(NF - 3) == destination'
}
# A field of the last such line. They are counted from the end, where Istio's old and new formats agree.
field() { # POD NAME
  local from_end
  case $2 in
    flags) matching "$1" | awk 'END { print $6 }' && return ;;
    received) from_end=14 ;;
    sent) from_end=13 ;;
    duration) from_end=12 ;;
    upstream) from_end=6 ;;
    cluster) from_end=5 ;;
    destination) from_end=3 ;;
  esac
  matching "$1" | awk -v n="$from_end" 'END { gsub(/"/, "", $(NF - n)); print $(NF - n) }'
}
logged_lines() { # POD COUNT
  (($(matching "$1" | wc -l) >= $2))
}
# The line is written when the connection has ended, which may be a moment after the client saw its end.
wait_logged() { # POD [COUNT]
  wait_for "${2:-1} access-log line(s) of $1" logged_lines "$1" "${2:-1}"
}
# Does a field have this value?
is_logged() { # POD NAME VALUE
  local have
  have=$(field "$1" "$2")
  [[ $have == "$3" ]] || { echo "$2 is '$have', expected '$3' in: $(matching "$1" | tail -n 1)" && return 1; }
}
