// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Lane 3: connect() itself goes to the endpoint, and the connection belongs to the application alone.
 *
 * What has to be known to read this: the programs run for all sockets that were *made* in the pod's cgroup, wherever
 * their process is now. connect4 and connect6 run under the socket's lock before the kernel looks for a route; they may
 * change the address, and nothing has been counted or sent when connect() then fails for a reason of its own. A socket
 * can connect many times. So decisions are remembered with the socket, are begun anew at each connect(), and count only
 * from the first SYN (TCP_CONNECT_CB) to TCP_CLOSE. accept() and getpeername() share a hook: only sockets that connect
 * may ever have the storage that is looked for there.
 *
 * Whatever is not sure is left alone: the rules lead it to the proxy, as if these programs were not there.
 * docs/direct.md says why each rule is there.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "intf/direct.h"
#include "kernel_types.h"
#include "moments.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The kernel's names and numbers. */
#define SOCK_STREAM 1
#define IPPROTO_TCP 6
#define SOL_SOCKET 1
#define SO_MARK 36
#define TCP_USER_TIMEOUT 18
#define ECONNREFUSED 111
#define LOOPBACK_IFINDEX 1
#define SOCK_BINDPORT_LOCK 8   /* sk_userlocks: bind() named a port */
#define SOCK_DONE_BIT (1 << 1) /* skc_flags: a FIN came */
#define MAX_ERRNO 4095

/* For tests: how long a program rests between two lookups of one decision. With 0 the code is not there. */
const volatile __u32 stall_nanoseconds;

/*
 * The sizes of the maps are set before loading. Hashes take memory as they fill: a pod's mesh may be ten Services or
 * ten thousand.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct direct_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct direct_destination);
	__type(value, struct direct_verdict);
} destinations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct direct_prefix);
	__type(value, struct direct_verdict);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct direct_number);
	__type(value, struct direct_route);
} routes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct direct_number);
	__type(value, struct direct_cluster);
} clusters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct direct_host_key);
	__type(value, struct direct_host);
} hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct direct_live);
} live SEC(".maps");

/* Of active sockets alone: docs/direct.md#accept-asks-too. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct direct_flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

static __always_inline struct direct_control *get_control(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&control, &zero);
}

static __always_inline void count(struct direct_control *c, enum direct_count what)
{
	if (what < DIRECT_COUNTS)
		__sync_fetch_and_add(&c->counts[what], 1);
}

static __always_inline struct direct_live *live_of(__u32 number)
{
	return number == DIRECT_NONE ? 0 : bpf_map_lookup_elem(&live, &number);
}

static __always_inline void stall(void)
{
	if (stall_nanoseconds)
		stall_for(stall_nanoseconds);
}

/* --- Which endpoint ------------------------------------------------------------------------------------------------ */

/* One connect(): what is asked, and what comes out. The endpoint counts only if it goes there. */
struct connect {
	__u32 side;
	__u32 error; /* when it is to be refused */
	struct direct_address asked;
	struct direct_address source; /* what the socket is bound to, zeros if nothing */
	struct direct_address endpoint;
	__u32 route;
	__u32 cluster;
	__u32 cluster_live;
	__u32 host_live;
	__u32 timeout; /* of connecting, ms; 0: none */
};

static __always_inline int is_mapped(const struct direct_address *address)
{
	const __u32 *word = (const __u32 *)address->ip;

	return word[0] == 0 && word[1] == 0 && word[2] == bpf_htonl(0xffff);
}

static __always_inline int is_zero(const struct direct_address *address)
{
	const __u32 *word = (const __u32 *)address->ip;

	return (word[0] | word[1] | word[2] | word[3]) == 0;
}

/* Loopback, or no address, which connect() takes for loopback. */
static __always_inline int is_local(const struct direct_address *address)
{
	const __u32 *word = (const __u32 *)address->ip;

	if (is_mapped(address))
		return address->ip[12] == 127 || word[3] == 0;
	return (word[0] | word[1] | word[2]) == 0 && (word[3] == 0 || word[3] == bpf_htonl(1));
}

/* The exact address first, then the longest prefix for the port, then for any port. */
static __always_inline struct direct_verdict *find(const struct connect *c)
{
	struct direct_destination exact = {.port = c->asked.port, .side = c->side};
	struct direct_prefix prefix = {.bits = DIRECT_PREFIX_BITS + 128, .port = c->asked.port, .side = c->side};
	struct direct_verdict *verdict;

	__builtin_memcpy(exact.ip, c->asked.ip, 16);
	verdict = bpf_map_lookup_elem(&destinations, &exact);
	if (verdict)
		return verdict;
	__builtin_memcpy(prefix.ip, c->asked.ip, 16);
	prefix.family = is_mapped(&c->asked) ? 4 : 6;
	verdict = bpf_map_lookup_elem(&prefixes, &prefix);
	if (verdict)
		return verdict;
	prefix.port = 0;
	return bpf_map_lookup_elem(&prefixes, &prefix);
}

/* Of both ways. */
static __always_inline __s64 connections(const struct direct_live *live)
{
	return (__s64)READ_ONCE(live->open) + READ_ONCE(live->proxied);
}

static __always_inline struct direct_host *get_host(__u32 side, __u32 cluster, __u32 index)
{
	struct direct_host_key key = {.side = side, .cluster = cluster, .index = index};

	return bpf_map_lookup_elem(&hosts, &key);
}

/*
 * The host that has the weight at `position`, less than the sum of all. A function of its own, so that the verifier
 * walks through the search once.
 */
static __noinline struct direct_host *host_at(__u32 side, __u32 cluster, __u32 count, __u32 position)
{
	__u32 low = 0, high = count - 1; /* it is one of these */

	for (__u32 i = 0; i < DIRECT_SEARCH_STEPS && low < high; i++) {
		__u32 middle = low + (high - low) / 2;
		struct direct_host *host = get_host(side, cluster, middle);

		if (!host)
			return 0;
		if (position < host->weight_end)
			high = middle;
		else
			low = middle + 1;
	}
	return get_host(side, cluster, low);
}

static __always_inline struct direct_host *host_by_weight(const struct connect *c, const struct direct_cluster *cluster,
                                                          __u32 position)
{
	if (cluster->flags & DIRECT_EQUAL_WEIGHTS)
		return get_host(c->side, c->cluster, position);
	return host_at(c->side, c->cluster, cluster->hosts, position);
}

static __always_inline struct direct_host *draw_host(const struct connect *c, const struct direct_cluster *cluster)
{
	__u32 range = cluster->flags & DIRECT_EQUAL_WEIGHTS ? cluster->hosts : cluster->total_weight;
	struct direct_host *first, *second;
	struct direct_live *live, *other;

	if (cluster->balancing == DIRECT_FIXED)
		return get_host(c->side, c->cluster, cluster->start);
	if (!range)
		return 0;
	if (cluster->balancing == DIRECT_ROUND_ROBIN) {
		live = live_of(cluster->live);
		if (live) {
			__u64 turn = __sync_fetch_and_add(&live->drawn, 1) + cluster->start;

			return host_by_weight(c, cluster, turn * cluster->stride % range);
		}
	}
	first = host_by_weight(c, cluster, bpf_get_prandom_u32() % range);
	if (cluster->balancing != DIRECT_LEAST_REQUEST || !first)
		return first;
	second = host_by_weight(c, cluster, bpf_get_prandom_u32() % range);
	if (!second)
		return first;
	live = live_of(first->live);
	other = live_of(second->live);
	if (!live || !other)
		return first;
	/* connections / weight, without a division */
	return connections(other) * first->weight < connections(live) * second->weight ? second : first;
}

static __always_inline int choose_cluster(struct connect *c)
{
	struct direct_number key = {.side = c->side, .number = c->route};
	struct direct_route *route = bpf_map_lookup_elem(&routes, &key);
	__u32 position;

	if (!route || !route->total_weight)
		return 0;
	position = bpf_get_prandom_u32() % route->total_weight;
	for (__u32 i = 0; i < DIRECT_MAX_CHOICES; i++) {
		if (i >= route->choices)
			return 0;
		if (position < route->choice[i].weight_end) {
			c->cluster = route->choice[i].cluster;
			return 1;
		}
	}
	return 0;
}

/*
 * Reads the side in force, and only that: whatever is found belongs to one configuration. User space changes a side
 * when no program that saw it in force runs any more.
 */
static __always_inline enum direct_count decide(struct connect *c)
{
	struct direct_number key = {.side = c->side};
	struct direct_verdict *verdict = find(c);
	struct direct_cluster *cluster;
	struct direct_live *live;
	struct direct_host *host;

	if (!verdict)
		return DIRECT_COUNT_MISSED;
	if (verdict->kind == DIRECT_REFUSE) {
		c->error = verdict->error;
		return DIRECT_COUNT_REFUSED;
	}
	if (verdict->kind != DIRECT_ROUTE)
		return DIRECT_COUNT_INTERCEPTED;
	c->route = verdict->route;
	stall();
	if (!choose_cluster(c))
		return DIRECT_COUNT_INCOMPLETE;
	key.number = c->cluster;
	stall();
	cluster = bpf_map_lookup_elem(&clusters, &key);
	if (!cluster)
		return DIRECT_COUNT_INCOMPLETE;
	c->cluster_live = cluster->live;
	c->timeout = cluster->connect_timeout_ms;
	live = live_of(cluster->live);
	/*
	 * The count rises with the first SYN, a moment later: connects that are made at the same moment, one for each
	 * processor, may all find the last place free.
	 */
	if (live && cluster->max_connections != DIRECT_NONE && connections(live) >= (__s64)cluster->max_connections)
		return cluster->flags & DIRECT_REFUSE_WHEN_FULL ? DIRECT_COUNT_REFUSED_FULL : DIRECT_COUNT_FULL;
	if (cluster->balancing == DIRECT_ORIGINAL) {
		c->host_live = DIRECT_NONE;
		return DIRECT_COUNT_ORIGINAL;
	}
	if (!cluster->hosts)
		return DIRECT_COUNT_NO_HOST;
	stall();
	host = draw_host(c, cluster);
	if (!host)
		return DIRECT_COUNT_INCOMPLETE;
	c->endpoint = host->address;
	c->host_live = host->live;
	live = live_of(host->live);
	if (live)
		__sync_fetch_and_add(&live->drawn, 1);
	return DIRECT_COUNT_REWRITTEN;
}

/* --- connect() ----------------------------------------------------------------------------------------------------- */

static __always_inline void count_open(const struct direct_flow *flow, __s32 difference)
{
	struct direct_live *record = live_of(flow->cluster_live);

	if (record)
		__sync_fetch_and_add(&record->open, difference);
	record = live_of(flow->host_live);
	if (record)
		__sync_fetch_and_add(&record->open, difference);
}

static __always_inline int is_counted(const struct direct_flow *flow)
{
	return flow->phase == DIRECT_CONNECTING || flow->phase == DIRECT_OPEN;
}

static __always_inline int set_mark(struct bpf_sock_addr *ctx, __u32 mark)
{
	return bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
}

/*
 * While it connects, the socket has the cluster's timeout, unless the application wants a shorter one. What the
 * application has set is put back as soon as it is established, or led nowhere (docs/direct.md#the-timeout).
 */
static __always_inline void limit_connecting(struct bpf_sock_addr *ctx, struct direct_flow *flow, __u32 timeout)
{
	__u32 own = 0;

	flow->timeout = 0;
	if (!timeout || bpf_getsockopt(ctx, IPPROTO_TCP, TCP_USER_TIMEOUT, &own, sizeof(own)))
		return;
	if (own && own <= timeout)
		return;
	if (bpf_setsockopt(ctx, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout)))
		return;
	flow->old_timeout = own;
	flow->timeout = timeout;
}

/* A macro: `ctx` is of connect() or of sockops, and the helpers want to know which. */
#define give_timeout_back(ctx, flow)                                                                                   \
	do {                                                                                                           \
		__u32 now_ = 0, old_ = (flow)->old_timeout;                                                            \
		if ((flow)->timeout && !bpf_getsockopt(ctx, IPPROTO_TCP, TCP_USER_TIMEOUT, &now_, sizeof(now_)) &&     \
		    now_ == (flow)->timeout) /* else the application has changed it since */                           \
			bpf_setsockopt(ctx, IPPROTO_TCP, TCP_USER_TIMEOUT, &old_, sizeof(old_));                       \
		(flow)->timeout = 0;                                                                                   \
	} while (0)

/*
 * Forgets what an earlier connect() of the same socket was told: else getpeername() would go on to show its address,
 * and the mark would lead this connection past the proxy.
 */
static __always_inline void leave_alone(struct bpf_sock_addr *ctx, struct direct_control *control)
{
	struct direct_flow *flow = bpf_sk_storage_get(&flows, ctx->sk, 0, 0);
	__u32 mark = ctx->sk->mark;

	if (!flow)
		return;
	if (is_counted(flow)) {
		count(control, DIRECT_COUNT_RECOUNTED);
		count_open(flow, -1);
	}
	give_timeout_back(ctx, flow);
	if ((mark & flow->mark_mask) == flow->mark) /* else the application has changed it since */
		set_mark(ctx, (mark & ~flow->mark_mask) | flow->old_mark);
	bpf_sk_storage_delete(&flows, ctx->sk);
}

/*
 * Whether the socket is one whose connect() may be led elsewhere. What it is bound to was chosen for the address that
 * was asked for (docs/direct.md#bound-sockets).
 */
static __always_inline enum direct_count examine(struct bpf_sock_addr *ctx, const struct connect *c, int v6,
                                                 struct direct_address *source, int *v6only)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(ctx->sk);
	struct sock *sk = (struct sock *)tcp;
	__u32 word;

	if (!tcp)
		return DIRECT_COUNT_BOUND;
	if (bpf_skc_to_mptcp_sock(ctx->sk))
		return DIRECT_COUNT_MPTCP;
	if (is_local(&c->asked))
		return DIRECT_COUNT_LOCAL;
	if (BPF_CORE_READ_BITFIELD(sk, sk_userlocks) & SOCK_BINDPORT_LOCK)
		return DIRECT_COUNT_BOUND;
	if (sk->__sk_common.skc_bound_dev_if == LOOPBACK_IFINDEX)
		return DIRECT_COUNT_BOUND;
	if (v6) {
		bpf_core_read(source->ip, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		*v6only = BPF_CORE_READ_BITFIELD(&sk->__sk_common, skc_ipv6only);
	} else {
		word = sk->__sk_common.skc_rcv_saddr;
		if (word) {
			source->ip[10] = source->ip[11] = 0xff;
			__builtin_memcpy(source->ip + 12, &word, 4);
		}
	}
	if (!is_zero(source) && is_local(source))
		return DIRECT_COUNT_BOUND;
	return DIRECT_COUNT_REWRITTEN;
}

/* Whether the socket can reach an endpoint of that family. */
static __always_inline int family_fits(const struct connect *c, int v6, const struct direct_address *source, int v6only)
{
	int mapped = is_mapped(&c->endpoint);

	if (!v6)
		return mapped;
	if (mapped && v6only)
		return 0;
	return is_zero(source) || is_mapped(source) == mapped;
}

static __always_inline enum direct_count lead(struct bpf_sock_addr *ctx, struct direct_control *control, int v6,
                                              struct connect *c)
{
	struct direct_flow *flow;
	enum direct_count what;
	__u32 mark, mask, old;
	__u64 ids = bpf_get_current_uid_gid();
	int v6only = 0;

	if (control->layout != DIRECT_LAYOUT || !READ_ONCE(control->enabled))
		return DIRECT_COUNT_OFF;
	if ((control->uid != DIRECT_NONE && (__u32)ids == control->uid) ||
	    (control->gid != DIRECT_NONE && (__u32)(ids >> 32) == control->gid))
		return DIRECT_COUNT_OWN;
	what = examine(ctx, c, v6, &c->source, &v6only);
	if (what != DIRECT_COUNT_REWRITTEN)
		return what;
	what = decide(c);
	if (what != DIRECT_COUNT_REWRITTEN && what != DIRECT_COUNT_ORIGINAL)
		return what;
	if (what == DIRECT_COUNT_REWRITTEN && !family_fits(c, v6, &c->source, v6only))
		return DIRECT_COUNT_FAMILY;

	flow = bpf_sk_storage_get(&flows, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow)
		return DIRECT_COUNT_UNMARKED;
	if (is_counted(flow)) {
		count(control, DIRECT_COUNT_RECOUNTED);
		count_open(flow, -1);
	}
	flow->phase = DIRECT_CLOSED;
	give_timeout_back(ctx, flow);
	mark = ctx->sk->mark;
	/* Led before: the mark that is there is ours, and what was there before it is remembered already. */
	if (flow->mark_mask && (mark & flow->mark_mask) == flow->mark)
		mark = (mark & ~flow->mark_mask) | flow->old_mark;
	mask = control->mark_mask;
	old = mark & mask;
	flow->old_mark = old;
	flow->mark_mask = mask;
	flow->mark = control->mark & mask;
	if (set_mark(ctx, (mark & ~mask) | flow->mark))
		return DIRECT_COUNT_UNMARKED;
	limit_connecting(ctx, flow, c->timeout);
	flow->cookie = bpf_get_socket_cookie(ctx);
	flow->generation = control->generation[c->side];
	flow->connect_ns = 0;
	flow->established_ns = 0;
	flow->route = c->route;
	flow->cluster = c->cluster;
	flow->cluster_live = c->cluster_live;
	flow->host_live = c->host_live;
	flow->asked = c->asked;
	flow->first_step = 0;
	flow->ipv6 = v6;
	flow->phase = DIRECT_DECIDED;
	return what;
}

static __always_inline int is_refusal(enum direct_count what)
{
	return what == DIRECT_COUNT_REFUSED || what == DIRECT_COUNT_NO_HOST || what == DIRECT_COUNT_REFUSED_FULL;
}

enum answer {
	FAILS, /* with what bpf_set_retval() was given */
	GOES_ON,
	GOES_TO_ENDPOINT,
};

static __always_inline void tell_refusal(struct bpf_sock_addr *ctx, struct direct_control *control,
                                         const struct connect *c, enum direct_count why, __u32 error)
{
	struct direct_record *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);

	if (!record) {
		count(control, DIRECT_COUNT_LOST);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->kind = DIRECT_REFUSED;
	record->from_state = why;
	record->flow.cookie = bpf_get_socket_cookie(ctx);
	record->flow.generation = control->generation[c->side & (DIRECT_SIDES - 1)];
	record->flow.connect_ns = record->reading.now_ns = bpf_ktime_get_ns();
	record->flow.route = c->route;
	record->flow.cluster = c->cluster;
	record->flow.cluster_live = record->flow.host_live = DIRECT_NONE;
	record->flow.asked = c->asked;
	record->reading.error = error;
	record->reading.local = c->source;
	bpf_ringbuf_submit(record, 0);
}

static __always_inline enum answer on_connect(struct bpf_sock_addr *ctx, int v6, struct connect *c)
{
	struct direct_control *control = get_control();
	enum direct_count what;
	__u32 error;

	if (!control)
		return GOES_ON;
	c->side = READ_ONCE(control->active) & (DIRECT_SIDES - 1);
	what = lead(ctx, control, v6, c);
	count(control, what);
	if (what == DIRECT_COUNT_REWRITTEN)
		return GOES_TO_ENDPOINT;
	if (what == DIRECT_COUNT_ORIGINAL)
		return GOES_ON;
	leave_alone(ctx, control);
	if (!is_refusal(what))
		return GOES_ON;
	error = c->error > 0 && c->error <= MAX_ERRNO ? c->error : ECONNREFUSED;
	tell_refusal(ctx, control, c, what, error);
	bpf_set_retval(-(int)error);
	return FAILS;
}

/* Of the family inet or inet6, STREAM and TCP; connected UDP passes here too. */
static __always_inline int is_tcp(struct bpf_sock_addr *ctx)
{
	return ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP;
}

SEC("cgroup/connect4")
int direct_connect4(struct bpf_sock_addr *ctx)
{
	struct connect c = {};
	__u32 *word = (__u32 *)c.asked.ip;
	enum answer answer;

	if (!is_tcp(ctx))
		return 1;
	word[2] = bpf_htonl(0xffff);
	word[3] = ctx->user_ip4;
	c.asked.port = ctx->user_port;
	answer = on_connect(ctx, 0, &c);
	if (answer != GOES_TO_ENDPOINT)
		return answer;
	word = (__u32 *)c.endpoint.ip;
	ctx->user_ip4 = word[3];
	ctx->user_port = c.endpoint.port;
	return 1;
}

SEC("cgroup/connect6")
int direct_connect6(struct bpf_sock_addr *ctx)
{
	struct connect c = {};
	__u32 *word = (__u32 *)c.asked.ip;
	enum answer answer;

	if (!is_tcp(ctx))
		return 1;
	word[0] = ctx->user_ip6[0];
	word[1] = ctx->user_ip6[1];
	word[2] = ctx->user_ip6[2];
	word[3] = ctx->user_ip6[3];
	c.asked.port = ctx->user_port;
	answer = on_connect(ctx, 1, &c);
	if (answer != GOES_TO_ENDPOINT)
		return answer;
	word = (__u32 *)c.endpoint.ip;
	ctx->user_ip6[0] = word[0];
	ctx->user_ip6[1] = word[1];
	ctx->user_ip6[2] = word[2];
	ctx->user_ip6[3] = word[3];
	ctx->user_port = c.endpoint.port;
	return 1;
}

/* The peer is whom the application asked for. */
SEC("cgroup/getpeername4")
int direct_getpeername4(struct bpf_sock_addr *ctx)
{
	struct direct_flow *flow = bpf_sk_storage_get(&flows, ctx->sk, 0, 0);

	if (!flow)
		return 1;
	ctx->user_ip4 = ((__u32 *)flow->asked.ip)[3];
	ctx->user_port = flow->asked.port;
	return 1;
}

SEC("cgroup/getpeername6")
int direct_getpeername6(struct bpf_sock_addr *ctx)
{
	struct direct_flow *flow = bpf_sk_storage_get(&flows, ctx->sk, 0, 0);
	__u32 *word;

	if (!flow)
		return 1;
	word = (__u32 *)flow->asked.ip;
	ctx->user_ip6[0] = word[0];
	ctx->user_ip6[1] = word[1];
	ctx->user_ip6[2] = word[2];
	ctx->user_ip6[3] = word[3];
	ctx->user_port = flow->asked.port;
	return 1;
}

/* --- What becomes of it -------------------------------------------------------------------------------------------- */

/* States in which the socket has queued a FIN. */
static __always_inline int is_ending(__u32 state)
{
	return state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2 || state == BPF_TCP_LAST_ACK ||
	       state == BPF_TCP_CLOSING || state == BPF_TCP_TIME_WAIT;
}

/*
 * `state` is the one that the socket is still in. The iterator reads while the numbers change: acknowledged bytes are
 * read before what is in flight, so that what is acknowledged in between is missing from the sum rather than in it twice.
 */
static __always_inline void read_socket(struct direct_reading *r, struct tcp_sock *tcp, __u32 state)
{
	struct sock *sk = (struct sock *)tcp;
	__u32 una, nxt;

	r->now_ns = bpf_ktime_get_ns();
	r->bytes_retrans = READ_ONCE(tcp->bytes_retrans);
	r->bytes_acked = READ_ONCE(tcp->bytes_acked);
	una = READ_ONCE(tcp->snd_una);
	nxt = READ_ONCE(tcp->snd_nxt);
	r->in_flight = nxt - una;
	r->bytes_received = READ_ONCE(tcp->bytes_received);
	r->srtt_us = tcp->srtt_us;
	r->retransmits = tcp->total_retrans;
	r->error = sk->sk_err;
	r->shutdown = sk->sk_shutdown & 3;
	r->flags = 0;
	if (sk->__sk_common.skc_flags & SOCK_DONE_BIT)
		r->flags |= DIRECT_FIN_CAME;
	if (is_ending(state) && nxt == tcp->write_seq) /* the FIN is the last of the queue */
		r->flags |= una == nxt ? DIRECT_FIN_SENT | DIRECT_FIN_ACKED : DIRECT_FIN_SENT;
	r->unused = r->unused_2 = 0;
	bpf_core_read(r->local.ip, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	r->local.port = bpf_htons(sk->__sk_common.skc_num);
	r->local.unused = 0;
	bpf_core_read(r->remote.ip, 16, &sk->__sk_common.skc_v6_daddr);
	r->remote.port = sk->__sk_common.skc_dport;
	r->remote.unused = 0;
}

static __always_inline void tell(enum direct_record_kind kind, const struct direct_flow *flow, struct bpf_sock *sk,
                                 __u32 from, __u32 to)
{
	struct direct_record *record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	struct direct_control *control;
	struct tcp_sock *tcp;

	if (!record) {
		control = get_control();
		if (control)
			count(control, DIRECT_COUNT_LOST);
		return;
	}
	record->kind = kind;
	record->from_state = from;
	record->flow = *flow;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp) { /* cannot be: sockops runs for TCP alone */
		bpf_ringbuf_discard(record, 0);
		return;
	}
	read_socket(&record->reading, tcp, from);
	record->reading.state = to;
	bpf_ringbuf_submit(record, 0);
}

/*
 * Counts first, then tells: the ring may be full, and then user space has to look, and must find the counts right.
 * Other programs' flags are kept: setting replaces them all.
 */
SEC("sockops")
int direct_sockops(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk;
	struct direct_flow *flow;
	__u32 from, to;
	__u8 phase;

	if (ops->op != BPF_SOCK_OPS_TCP_CONNECT_CB && ops->op != BPF_SOCK_OPS_STATE_CB)
		return 1;
	sk = ops->sk;
	if (!sk)
		return 1;
	flow = bpf_sk_storage_get(&flows, sk, 0, 0);
	if (!flow)
		return 1;
	if (ops->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		if (flow->phase != DIRECT_DECIDED)
			return 1;
		bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
		flow->connect_ns = bpf_ktime_get_ns();
		flow->phase = DIRECT_CONNECTING;
		count_open(flow, 1);
		return 1;
	}
	from = ops->args[0];
	to = ops->args[1];
	/* The flag stays on the socket: a connect() that finds no port reports SYN_SENT and CLOSE uncounted. */
	if (!is_counted(flow))
		return 1;
	if (to == BPF_TCP_ESTABLISHED) {
		flow->established_ns = bpf_ktime_get_ns();
		flow->phase = DIRECT_OPEN;
		give_timeout_back(ops, flow);
		tell(DIRECT_OPENED, flow, sk, from, to);
		return 1;
	}
	if (from == BPF_TCP_ESTABLISHED)
		flow->first_step = to;
	if (to != BPF_TCP_CLOSE)
		return 1;
	phase = flow->phase;
	flow->phase = DIRECT_CLOSED;
	count_open(flow, -1);
	tell(phase == DIRECT_OPEN ? DIRECT_ENDED : DIRECT_FAILED, flow, sk, from, to);
	return 1;
}

/*
 * All flows of the pod that are open or being made, in whatever network namespace: what user space falls back on when
 * events were lost, and where it reads the counters of open flows.
 */
SEC("iter/bpf_sk_storage_map")
int direct_see(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct direct_record record = {.kind = DIRECT_SEEN};
	struct direct_flow *flow = ctx->value;
	struct sock *sk = ctx->sk;
	struct tcp_sock *tcp;
	__u32 state;

	barrier_var(sk); /* read once: the verifier knows only of this copy that it is not 0 */
	if (!sk || !flow || !is_counted(flow))
		return 0;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return 0;
	state = sk->__sk_common.skc_state;
	record.from_state = state;
	record.flow = *flow;
	read_socket(&record.reading, tcp, state);
	record.reading.state = state;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
