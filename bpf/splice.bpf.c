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

	WRITE_ONCE(d->credit, 0);
	d->credit_skbs = 0;
	before = __sync_fetch_and_add(&d->passed, len);
	word = READ_ONCE(d->user_word);
	if (word == (before | SPLICE_ARMED)) {
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

/* Whether bytes were PASSed that user space has not written yet. */
static __always_inline int has_passed(struct splice_direction *d)
{
	__u64 written = READ_ONCE(d->user_word) & SPLICE_COUNT_MASK;

	return written < __sync_fetch_and_add(&d->passed, 0);
}

/*
 * Whether user space has bytes of this direction to read, or is about to. The owner marks that it is about to, then
 * counts the bytes, then takes the mark away: hence this order, in which the atomic read is a full barrier.
 */
static __always_inline int is_passing(struct splice_direction *d)
{
	__u8 turning = READ_ONCE(d->state) & SPLICE_TURNING;

	return has_passed(d) || turning;
}

/* Whether the bytes on the way to `source`, the other direction's, are many. */
static __always_inline int is_crowded(struct splice_direction *reverse, struct bpf_sock *source)
{
	__u64 written = READ_ONCE(reverse->user_word) & SPLICE_COUNT_MASK;
	struct tcp_sock *tcp = source ? bpf_skc_to_tcp_sock(source) : 0;

	if (!tcp || !(READ_ONCE(reverse->state) & SPLICE_HAS_BASE))
		return 0;
	return (__s32)((__u32)(READ_ONCE(reverse->redirected) + written) - (tcp->snd_una - reverse->base_seq)) >
	       crowd();
}

static __always_inline __u32 queue_length(struct tcp_sock *tcp)
{
	struct sk_psock *psock = (void *)((unsigned long)tcp->inet_conn.icsk_inet.sk.sk_user_data & ~7ul);
	__u32 length = 0;

	bpf_core_read(&length, sizeof(length), &psock->ingress_skb.qlen);
	return length;
}

/*
 * Whether bytes of the other direction wait in the queue of `source` or are on their way into it. The lock of
 * `source` is held, so neither its worker nor user space writes to it: write_seq stands still. What user space has
 * written and not yet published makes the difference negative; it writes only when nothing waits.
 */
static __always_inline int queue_is_taken(struct splice_direction *reverse, struct bpf_sock *source)
{
	struct tcp_sock *tcp = source ? bpf_skc_to_tcp_sock(source) : 0;
	__u8 state = READ_ONCE(reverse->state);
	__u32 promised = READ_ONCE(reverse->promised);
	__u32 written = READ_ONCE(reverse->user_word); /* its low half */

	if (!tcp || !(state & SPLICE_HAS_BASE))
		return 0;
	if (state & SPLICE_URGENT) /* it promises nothing any more, and user space leaves urgent bytes out */
		return queue_length(tcp) > 0;
	return (__s32)(promised + written - (tcp->write_seq - reverse->base_seq)) > 0;
}

/* The target, as seen a moment ago. */
struct view {
	__s32 free;        /* of its send buffer, in SPLICE_COST units, when the backlog has gone there */
	__s32 outstanding; /* bytes on their way to its peer */
	__s32 backlog;     /* of these, what waits for its worker */
	__u32 queued;      /* segments that wait for its worker */
};

/*
 * Looks at the target. Called when the flow's user lane is empty, so all of `placed` was redirected or written: what
 * is not in the target's send queue yet waits for its worker.
 *
 * The target is not locked. write_seq is read before sk_wmem_queued, so that bytes on their way from the backlog
 * into the send queue are counted twice rather than not at all. All differences of sequence numbers are modulo 2^32
 * and less than 2^31 apart.
 */
static __always_inline int look(struct splice_direction *d, struct view *view)
{
	__u32 placed = (__u32)(d->redirected + d->passed), write_seq, acked_seq;
	struct bpf_sock *target = bpf_map_lookup_elem(&sockets, &d->target);
	struct tcp_sock *tcp;
	__s32 room;

	if (!target)
		return 0;
	tcp = bpf_skc_to_tcp_sock(target);
	if (!tcp) {
		bpf_sk_release(target);
		return 0;
	}
	acked_seq = READ_ONCE(tcp->snd_una);
	write_seq = READ_ONCE(tcp->write_seq);
	room = READ_ONCE(tcp->inet_conn.icsk_inet.sk.sk_sndbuf) - READ_ONCE(tcp->inet_conn.icsk_inet.sk.sk_wmem_queued);
	view->queued = queue_length(tcp);
	bpf_sk_release(target);

	if (!(d->state & SPLICE_HAS_BASE)) {
		d->base_seq = write_seq - placed;
		d->state |= SPLICE_HAS_BASE;
	}
	view->outstanding = placed - (acked_seq - d->base_seq);
	view->backlog = placed - (write_seq - d->base_seq);
	view->free = room - 2 * view->backlog - SPLICE_SKB_OVERHEAD * (__s32)view->queued;
	return 1;
}

/*
 * Grants credit for the next segments, if the target can take them without its peer's help.
 *
 * Never while the target's own bytes are being PASSed, or are likely to be soon, since much of what the other
 * direction has redirected is not acknowledged yet: they would queue up behind the backlog, charged to nobody, so that
 * the target's window stays open for as long as the worker has not run; and a reset would take them with it.
 */
static __always_inline __u8 grant(struct splice_direction *d, struct view *view, struct bpf_sock *source)
{
	struct splice_direction *reverse = bpf_map_lookup_elem(&directions, &d->target);
	__s32 soft = SPLICE_SOFT(control.limit_bytes), credit;

	/* What it may still redirect was granted before. */
	if (reverse && view->outstanding > crowd())
		__sync_lock_test_and_set(&reverse->credit, 0);
	if (reverse && (is_passing(reverse) || is_crowded(reverse, source)))
		return SPLICE_REASON_REVERSE;
	if (view->queued >= control.limit_skbs)
		return SPLICE_REASON_QUEUE;
	if (view->outstanding >= soft)
		return SPLICE_REASON_LIMIT;
	credit = view->free;
	if (credit > 2 * (soft - view->outstanding))
		credit = 2 * (soft - view->outstanding);
	d->credit_skbs = control.limit_skbs - view->queued;
	/* Stored, and then looked again: the other direction marks that it turns, and then takes the credit away. */
	__sync_lock_test_and_set(&d->credit, credit);
	if (reverse && is_passing(reverse)) {
		WRITE_ONCE(d->credit, 0);
		return SPLICE_REASON_REVERSE;
	}
	return SPLICE_REASON_ROOM;
}

/* Takes the credit for one segment. It is counted as promised first: see turn(). */
static __always_inline int take_credit(struct splice_direction *d, __u32 len)
{
	__s32 cost = SPLICE_COST(len);

	if (READ_ONCE(d->credit) < cost || d->credit_skbs == 0)
		return 0;
	WRITE_ONCE(d->promised, d->promised + len);
	if ((__s32)__sync_fetch_and_sub(&d->credit, cost) < cost) {
		WRITE_ONCE(d->promised, d->promised - len);
		return 0;
	}
	d->credit_skbs--;
	return 1;
}

/* The segment was promised; the helper's SK_DROP means "no such target", and would lose acknowledged bytes. */
static __always_inline int redirect(struct __sk_buff *skb, struct splice_direction *d, __u32 len)
{
	if (bpf_sk_redirect_map(skb, &sockets, d->target, 0) != SK_PASS) {
		WRITE_ONCE(d->promised, d->promised - len);
		return 0;
	}
	d->redirected += len;
	return 1;
}

/*
 * The direction is about to PASS. It must not begin to while the queue of its source holds bytes of the other
 * direction: what is PASSed would wait behind them, and be lost with them when the source is reset, an answer for
 * example whose sender closes with the request unread. Nor while bytes of its own wait in the queue of its target: the
 * other direction would find them there when its turn comes, and whichever way it went, one of the two would wait
 * behind the other. So then the segment is redirected once more, beyond the bounds that are usual but within those that
 * are hard; until the worker has come, which takes no peer's help. Where the other direction is PASSed already, the
 * second reason has come too late, and one segment more would only stand in its way.
 *
 * And while it PASSes, nothing may be redirected into that queue. The two directions run on two processors: here the
 * mark is set and the other's credit taken away, then it is looked what the other has promised; there a segment is
 * promised, then the credit for it taken; and when credit is granted, it is stored and then the mark looked at. Each
 * second step is a full barrier, so at least one of the two sees the other.
 */
static __always_inline int turn(struct __sk_buff *skb, struct splice_direction *d, __u32 slot, __u32 len, __u8 reason,
                                struct view *view, int looked)
{
	struct splice_direction *reverse = bpf_map_lookup_elem(&directions, &d->target);
	int taken = 0, spare = 0;

	WRITE_ONCE(d->state, d->state | SPLICE_TURNING);
	if (reverse) {
		__sync_lock_test_and_set(&reverse->credit, 0);
		taken = queue_is_taken(reverse, skb->sk);
	}
	if (looked || look(d, view))
		spare = (taken || (view->backlog > 0 && !(reverse && has_passed(reverse)))) &&
		        view->free >= (__s32)SPLICE_COST(len) &&
		        view->outstanding + (__s32)len <= (__s32)control.limit_bytes &&
		        view->queued < SPLICE_SPARED_SKBS * control.limit_skbs;
	if (spare) {
		WRITE_ONCE(d->promised, d->promised + len);
		if (redirect(skb, d, len)) {
			WRITE_ONCE(d->state, d->state & ~SPLICE_TURNING);
			__sync_fetch_and_add(&control.spared, 1);
			return SK_PASS;
		}
	}
	if (taken)
		__sync_fetch_and_add(&control.behind, 1);
	pass(d, slot, len, reason);
	WRITE_ONCE(d->state, d->state & ~SPLICE_TURNING);
	return SK_PASS;
}

#define URG 0x20

/*
 * TCP keeps one byte, the urgent one, out of what recv() returns; the sockmap's recv() does not. So from a segment on
 * that announces it all is PASSed, and user space is told where it lies. Of several that come before it has read the
 * first, only the last is urgent, as in TCP.
 */
static __always_inline void note_urgent(struct __sk_buff *skb, struct splice_direction *d, __u32 seq, __u32 len)
{
	struct tcp_sock *tcp = skb->sk ? bpf_skc_to_tcp_sock(skb->sk) : 0;

	if (!tcp || !tcp->urg_data)
		return;
	d->state |= SPLICE_URGENT;
	if (tcp->urg_seq - seq < len) {
		d->urgent_at = (__u32)d->passed + (tcp->urg_seq - seq);
		d->state |= SPLICE_URGENT_AT;
	}
}

SEC("sk_skb")
int splice_verdict(struct __sk_buff *skb)
{
	__u32 len = skb->len, seq, slot;
	struct splice_direction *d;
	struct view view = {};
	__s32 overlap;
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

	if (skb->cb[3] & URG) /* TCP_SKB_CB(skb)->tcp_flags */
		note_urgent(skb, d, seq, len);

	if (d->state & (SPLICE_BROKEN | SPLICE_URGENT))
		return pass(d, slot, len, d->state & SPLICE_BROKEN ? SPLICE_REASON_BROKEN : SPLICE_REASON_URGENT);
	word = READ_ONCE(d->user_word);
	if ((word & SPLICE_COUNT_MASK) != d->passed)
		return pass(d, slot, len, SPLICE_REASON_DISARMED);

	/* Switched off or disarmed, it begins to PASS with as much care as at any other time. */
	if (!(word & SPLICE_ARMED) || !READ_ONCE(control.enabled))
		return turn(skb, d, slot, len, SPLICE_REASON_DISARMED, &view, 0);
	if (!take_credit(d, len)) {
		if (!look(d, &view))
			return pass(d, slot, len, SPLICE_REASON_NO_TARGET);
		reason = grant(d, &view, skb->sk);
		if (!take_credit(d, len))
			return turn(skb, d, slot, len, reason, &view, 1);
	}
	if (!redirect(skb, d, len))
		return pass(d, slot, len, SPLICE_REASON_NO_TARGET);
	return SK_PASS;
}
