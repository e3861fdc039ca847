// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * Lane 1: what arrives on one of the agent's two sockets of a flow goes to the other without waking the agent.
 * Runs for each segment (sk_buff) that TCP has put in order, under the lock of the socket it arrived on.
 *
 * SK_PASS without a redirect leaves the bytes to recv(), where TCP's own back-pressure works. A redirect has none:
 * the sender's window opens again at once and the bytes wait, charged to nobody, until a kernel worker has written
 * them to the target. So a segment is redirected only while the target can take it without help from its peer, and
 * never while user space still holds bytes that came before it. README.md says why each rule is there.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "intf/splice.h"
#include "kernel_types.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))

/* A power of two, equal to max_entries of both maps below; set before the program is loaded. */
const volatile __u32 slots = 1024;

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct splice_direction);
} directions SEC(".maps");

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

/* A ring for each worker, made and put in by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SPLICE_MAX_RINGS);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

struct splice_control control;

static __always_inline struct splice_direction *find(__u64 cookie, __u32 *slot)
{
	for (__u32 way = 0; way < SPLICE_WAYS; way++) {
		*slot = ((__u32)cookie + way) & (slots - 1);
		struct splice_direction *d = bpf_map_lookup_elem(&directions, slot);

		if (d && d->cookie == cookie)
			return d;
	}
	return 0;
}

/*
 * When the ring is full its reader has yet to come, and will look at `lost` after emptying it. Setting `lost` and
 * then trying once more leaves no moment in which neither the ring nor the mark tells: if the second try fails too,
 * the ring was still full after the mark was set.
 */
static __always_inline void tell(__u32 ring_index, __u32 slot)
{
	void *ring = bpf_map_lookup_elem(&rings, &ring_index);
	__u32 mark = ring_index & (SPLICE_MAX_RINGS - 1); /* it is smaller; this tells the verifier */
	struct splice_event *event;

	barrier_var(mark);
	if (!ring)
		return;
	event = bpf_ringbuf_reserve(ring, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_or(&control.lost[mark], 1);
		event = bpf_ringbuf_reserve(ring, sizeof(*event), 0);
		if (!event)
			return;
	}
	event->slot = slot;
	event->unused = 0;
	bpf_ringbuf_submit(event, 0);
}

/*
 * The segment goes to recv(). User space is told when this begins; afterwards it keeps reading until it has written
 * everything. It stops by storing its count and then looking at `passed`; here `passed` is stored before the count
 * is looked at (the atomic add is a full barrier): so at least one side sees the other, and no byte is left behind.
 */
static __always_inline int pass(struct splice_direction *d, __u32 slot, __u32 len, __u8 reason)
{
	__u64 before, word;

	d->credit = 0;
	d->credit_skbs = 0;
	before = __sync_fetch_and_add(&d->passed, len);
	word = READ_ONCE(d->user_word);
	if (word == (before | SPLICE_ARMED)) {
		struct splice_direction *reverse = bpf_map_lookup_elem(&directions, &d->target);

		if (reverse) /* as in grant() */
			WRITE_ONCE(reverse->credit, 0);
		d->pass_starts++;
		d->pass_reason = reason;
		tell(d->ring, slot);
	}
	return SK_PASS;
}

#define CUT_STEP 4095 /* bpf_skb_adjust_room's limit */

struct cut {
	struct __sk_buff *skb;
	int failed;
};

static long cut_step(__u32 index, struct cut *cut)
{
	cut->failed = bpf_skb_adjust_room(cut->skb, -CUT_STEP, 0, 0) != 0;
	return cut->failed;
}

/*
 * TCP hands over whole segments even when their beginning was read or redirected before: after a partial recv(),
 * and when a retransmission overlaps what has arrived. Cuts off the first `len` bytes, which were seen.
 * Returns 0, or -1 if the kernel could not. A helper loops, because 16 turns for 64 KiB and 1024 for the largest
 * segment there can be (4 MiB) are too many for the verifier to walk through.
 */
static __always_inline int trim(struct __sk_buff *skb, __u32 len)
{
	struct cut cut = {.skb = skb};
	__u32 rest = len % CUT_STEP;

	bpf_loop(len / CUT_STEP, cut_step, &cut, 0);
	if (cut.failed)
		return -1;
	return rest && bpf_skb_adjust_room(skb, -(__s32)rest, 0, 0) ? -1 : 0;
}

/* From so many unacknowledged bytes on, a direction is likely to be PASSed soon; a request that is answered has none. */
static __always_inline __s32 crowd(void)
{
	return control.limit_bytes / 8;
}

/* Whether the bytes on the way to `source`, the other direction's, are PASSed or many. */
static __always_inline int reverse_is_crowded(struct splice_direction *reverse, struct bpf_sock *source)
{
	__u64 written = READ_ONCE(reverse->user_word) & SPLICE_COUNT_MASK;
	struct tcp_sock *tcp;

	if (written < READ_ONCE(reverse->passed))
		return 1;
	tcp = source ? bpf_skc_to_tcp_sock(source) : 0;
	if (!tcp || !(reverse->state & SPLICE_HAS_BASE))
		return 0;
	return (__s32)((__u32)(READ_ONCE(reverse->redirected) + written) - (tcp->snd_una - reverse->base_seq)) >
	       crowd();
}

/*
 * Looks at the target and grants credit for the next segments. Called when the flow's user lane is empty, so all of
 * `placed` was redirected or written: what is not in the target's send queue yet waits for its worker.
 *
 * Never while the target's own bytes are being PASSed, or are likely to be soon, since much of what the other
 * direction has redirected is not acknowledged yet: they would queue up behind the backlog, charged to nobody, so that
 * the target's window stays open for as long as the worker has not run.
 *
 * The target is not locked. write_seq is read before sk_wmem_queued, so that bytes on their way from the backlog
 * into the send queue are counted twice rather than not at all.
 */
static __always_inline __u8 grant(struct splice_direction *d, __u32 placed, struct bpf_sock *source)
{
	__s32 backlog, outstanding, room, credit;
	struct splice_direction *reverse;
	__u32 write_seq, acked_seq, queued = 0;
	struct sk_psock *psock;
	struct tcp_sock *tcp;
	struct bpf_sock *target;

	d->credit = 0;
	d->credit_skbs = 0;
	reverse = bpf_map_lookup_elem(&directions, &d->target);
	if (reverse && reverse_is_crowded(reverse, source))
		return SPLICE_REASON_REVERSE;
	target = bpf_map_lookup_elem(&sockets, &d->target);
	if (!target)
		return SPLICE_REASON_NO_TARGET;
	tcp = bpf_skc_to_tcp_sock(target);
	if (!tcp) {
		bpf_sk_release(target);
		return SPLICE_REASON_NO_TARGET;
	}
	acked_seq = READ_ONCE(tcp->snd_una);
	write_seq = READ_ONCE(tcp->write_seq);
	room = READ_ONCE(tcp->inet_conn.icsk_inet.sk.sk_sndbuf) -
	       READ_ONCE(tcp->inet_conn.icsk_inet.sk.sk_wmem_queued);
	psock = (void *)((unsigned long)tcp->inet_conn.icsk_inet.sk.sk_user_data & ~7ul);
	bpf_core_read(&queued, sizeof(queued), &psock->ingress_skb.qlen);
	bpf_sk_release(target);

	if (!(d->state & SPLICE_HAS_BASE)) {
		d->base_seq = write_seq - placed;
		d->state |= SPLICE_HAS_BASE;
	}
	backlog = placed - (write_seq - d->base_seq);
	outstanding = placed - (acked_seq - d->base_seq);
	if (backlog > (__s32)d->max_backlog)
		d->max_backlog = backlog;

	/* What it may still redirect was granted before. That its owner may write at this moment does no harm. */
	if (reverse && outstanding > crowd())
		WRITE_ONCE(reverse->credit, 0);

	if (queued >= control.limit_skbs)
		return SPLICE_REASON_QUEUE;
	if (outstanding >= (__s32)control.limit_bytes)
		return SPLICE_REASON_LIMIT;
	credit = room - 2 * backlog - SPLICE_SKB_OVERHEAD * (__s32)queued;
	if (credit > 2 * ((__s32)control.limit_bytes - outstanding))
		credit = 2 * ((__s32)control.limit_bytes - outstanding);
	d->credit = credit;
	d->credit_skbs = control.limit_skbs - queued;
	return SPLICE_REASON_ROOM;
}

SEC("sk_skb")
int splice_verdict(struct __sk_buff *skb)
{
	__u32 len = skb->len, seq, slot;
	struct splice_direction *d;
	__s32 overlap, cost;
	__u64 word;
	__u8 reason;

	/*
	 * A bare FIN. TCP has dealt with it already and recv() will return 0. Redirected it would put EPIPE on the
	 * target; passed it would end the reverse direction if that has a backlog.
	 */
	if (len == 0) {
		__sync_fetch_and_add(&control.fins, 1);
		return SK_DROP;
	}

	d = find(bpf_get_socket_cookie(skb), &slot);
	if (!d) {
		__sync_fetch_and_add(&control.strangers, 1);
		return SK_PASS;
	}

	seq = skb->cb[0]; /* TCP_SKB_CB(skb)->seq */
	if (!(d->state & SPLICE_HAS_NEXT)) {
		struct bpf_sock *own = skb->sk;
		struct tcp_sock *tcp = own ? bpf_skc_to_tcp_sock(own) : 0;

		if (!tcp)
			return SK_PASS; /* not TCP: cannot be */
		d->next_seq = tcp->copied_seq;
		d->state |= SPLICE_HAS_NEXT;
	}
	overlap = d->next_seq - seq;
	if (overlap > 0) {
		__u32 cut = (__u32)overlap < len ? (__u32)overlap : len;

		if (trim(skb, cut)) {
			if (!(d->state & SPLICE_BROKEN))
				__sync_fetch_and_add(&control.broken, 1);
			d->state |= SPLICE_BROKEN;
			return pass(d, slot, len, SPLICE_REASON_BROKEN);
		}
		__sync_fetch_and_add(&control.trimmed_skbs, 1);
		__sync_fetch_and_add(&control.trimmed_bytes, cut);
		len -= cut;
		if (len == 0)
			return SK_DROP; /* nothing new in it */
		seq += cut;
	}
	d->next_seq = seq + len;

	word = READ_ONCE(d->user_word);
	if (word != (d->passed | SPLICE_ARMED) || !READ_ONCE(control.enabled) || (d->state & SPLICE_BROKEN))
		return pass(d, slot, len, SPLICE_REASON_DISARMED);

	cost = SPLICE_COST(len);
	if (d->credit < cost || d->credit_skbs == 0) {
		reason = grant(d, (__u32)(d->redirected + d->passed), skb->sk);
		if (d->credit < cost || d->credit_skbs == 0)
			return pass(d, slot, len, reason);
	}

	/* The helper's SK_DROP means "no such target"; returned as it is, it would lose acknowledged bytes. */
	if (bpf_sk_redirect_map(skb, &sockets, d->target, 0) != SK_PASS)
		return pass(d, slot, len, SPLICE_REASON_NO_TARGET);
	d->credit -= cost;
	d->credit_skbs--;
	d->redirected += len;
	return SK_PASS;
}
