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
#include "moments.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A power of two, equal to max_entries of the three maps below; set before the program is loaded. */
const volatile __u32 slots = 1024;

/* For tools/stress: how often, and how long at most, time passes between two steps. With 0 the code is not there. */
const volatile __u32 stall_percent;
const volatile __u32 stall_nanoseconds = 1;

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

/*
 * One for both directions of a flow, at the lower of their slots; zero when a flow begins, since its queues are empty
 * then and the first look() sees it. It is not in their records because user space has those mapped.
 */
struct splice_flow {
	struct bpf_spin_lock lock;
	__u16 spared[2]; /* of each direction, the one of the lower slot first: see fits() */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct splice_flow);
} flows SEC(".maps");

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

/* A moment between two steps, in which the other direction may take its own. */
static __always_inline void stall(void)
{
	if (stall_percent && bpf_get_prandom_u32() % 100 < stall_percent)
		stall_for(bpf_get_prandom_u32() % stall_nanoseconds);
}

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
 * Counts the segment as left to recv(), and says whether user space has to be told: when this begins; afterwards it
 * keeps reading until it has written everything. It stops by storing its count and then looking at `passed`; here
 * `passed` is stored before the count is looked at (the atomic add is a full barrier): so at least one side sees the
 * other, and no byte is left behind.
 */
static __always_inline int count_passed(struct splice_direction *d, __u32 len, __u8 reason)
{
	__u64 before;

	WRITE_ONCE(d->credit, 0);
	d->credit_skbs = 0;
	before = __sync_fetch_and_add(&d->passed, len);
	if (READ_ONCE(d->user_word) != (before | SPLICE_ARMED))
		return 0;
	d->pass_reason = reason;
	return 1;
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

	return written < READ_ONCE(d->passed);
}

/* Whether user space has yet to write all that was PASSed: what follows it is PASSed too. */
static __always_inline int goes_on(struct splice_direction *d)
{
	return (READ_ONCE(d->user_word) & SPLICE_COUNT_MASK) != d->passed;
}

/* A segment that no credit covers, and what was looked up for it before the lock of its flow was taken. */
struct uncovered {
	__u32 len;
	struct splice_direction *own, *reverse;
	struct tcp_sock *source, *target; /* 0: not to be seen */
	__u16 *spared;
	__u32 source_queued, target_queued; /* segments that wait for their workers */
};

/* Whether the bytes on the way to the source's peer, the other direction's, are many. */
static __always_inline int is_crowded(const struct uncovered *u)
{
	struct splice_direction *reverse = u->reverse;
	__u64 written = READ_ONCE(reverse->user_word) & SPLICE_COUNT_MASK;

	if (!u->source || !(READ_ONCE(reverse->state) & SPLICE_HAS_BASE))
		return 0;
	return (__s32)((__u32)(READ_ONCE(reverse->redirected) + written) - (u->source->snd_una - reverse->base_seq)) >
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
 * Whether bytes of the other direction wait in the queue of the source or are on their way into it. The source is
 * locked, so neither its worker nor user space writes to it: write_seq stands still. What user space has written and
 * not yet published makes the difference negative; it writes only when nothing waits.
 */
static __always_inline int queue_is_taken(const struct uncovered *u)
{
	struct splice_direction *reverse = u->reverse;
	__u8 state = READ_ONCE(reverse->state);
	__u32 promised = READ_ONCE(reverse->promised);
	__u32 written = READ_ONCE(reverse->user_word); /* its low half */

	if (!u->source || !(state & SPLICE_HAS_BASE))
		return 0;
	if (state & SPLICE_URGENT) /* it promises nothing any more, and user space leaves urgent bytes out */
		return u->source_queued > 0;
	return (__s32)(promised + written - (u->source->write_seq - reverse->base_seq)) > 0;
}

/* The target, as seen a moment ago. */
struct view {
	__s32 free;        /* of its send buffer, in SPLICE_COST units, when the backlog has gone there */
	__s32 outstanding; /* bytes on their way to its peer */
	__s32 backlog;     /* of these, what waits for its worker */
};

/*
 * Looks at the target. Called when the direction's user lane is empty, so all of `placed` was redirected or written:
 * what is not in the target's send queue yet waits for its worker.
 *
 * The target is not locked: what waits may have got there before this returns. write_seq is read before
 * sk_wmem_queued, so that bytes on their way from the backlog into the send queue are counted twice rather than not
 * at all. All differences of sequence numbers are modulo 2^32 and less than 2^31 apart.
 */
static __always_inline void look(const struct uncovered *u, struct view *view)
{
	struct splice_direction *d = u->own;
	struct sock *target = &u->target->inet_conn.icsk_inet.sk;
	__u32 placed = (__u32)(d->redirected + d->passed);
	__u32 acked_seq = READ_ONCE(u->target->snd_una);
	__u32 write_seq = READ_ONCE(u->target->write_seq);
	__s32 room = READ_ONCE(target->sk_sndbuf) - READ_ONCE(target->sk_wmem_queued);

	if (!(d->state & SPLICE_HAS_BASE)) {
		d->base_seq = write_seq - placed;
		d->state |= SPLICE_HAS_BASE;
	}
	view->outstanding = placed - (acked_seq - d->base_seq);
	view->backlog = placed - (write_seq - d->base_seq);
	view->free = room - 2 * view->backlog - SPLICE_SKB_OVERHEAD * (__s32)u->target_queued;
	if (view->backlog == 0)
		*u->spared = 0;
}

/*
 * Grants credit for the next segments, if the target can take them without its peer's help.
 *
 * Never while the target's own bytes are being PASSed, or are likely to be soon, since much of what the other
 * direction has redirected is not acknowledged yet: they would queue up behind the backlog, charged to nobody, so that
 * the target's window stays open for as long as the worker has not run; and a reset would take them with it.
 */
static __always_inline __u8 grant(const struct uncovered *u, const struct view *view)
{
	struct splice_direction *d = u->own;
	__s32 soft = SPLICE_SOFT(control.limit_bytes), credit;

	/* What it may still redirect was granted before. */
	if (view->outstanding > crowd())
		__sync_lock_test_and_set(&u->reverse->credit, 0);
	if (has_passed(u->reverse) || is_crowded(u))
		return SPLICE_REASON_REVERSE;
	if (u->target_queued >= control.limit_skbs)
		return SPLICE_REASON_QUEUE;
	if (view->outstanding >= soft)
		return SPLICE_REASON_LIMIT;
	credit = view->free;
	if (credit > 2 * (soft - view->outstanding))
		credit = 2 * (soft - view->outstanding);
	d->credit_skbs = control.limit_skbs - u->target_queued;
	WRITE_ONCE(d->credit, credit);
	return SPLICE_REASON_ROOM;
}

static __always_inline void promise(struct splice_direction *d, __u32 len)
{
	WRITE_ONCE(d->promised, d->promised + len);
}

/* Takes the credit for one segment. It is counted as promised first: see decide(). */
static __always_inline int take_credit(struct splice_direction *d, __u32 len)
{
	__s32 cost = SPLICE_COST(len);

	if (READ_ONCE(d->credit) < cost || d->credit_skbs == 0)
		return 0;
	promise(d, len);
	if ((__s32)__sync_fetch_and_sub(&d->credit, cost) < cost) {
		promise(d, -len);
		return 0;
	}
	d->credit_skbs--;
	return 1;
}

#define PASSED_OVERHEAD 2048 /* what a segment costs the receive buffer beside its bytes, at most */
#define PASSED_BYTES 65536   /* and what most of them have at most */

/*
 * Whether the target takes in all that its own verdict has PASSed and that waits in the queue before the segment. What
 * its receive buffer has no room for stays there until user space reads; and user space may be waiting for that very
 * segment to get out of the queue.
 */
static __always_inline int is_let_through(const struct uncovered *u)
{
	struct sock *target = &u->target->inet_conn.icsk_inet.sk;
	__u64 written = READ_ONCE(u->reverse->user_word) & SPLICE_COUNT_MASK;
	__u64 passed = READ_ONCE(u->reverse->passed);
	__u64 waiting = PASSED_BYTES * (__u64)u->target_queued;

	if (passed <= written || u->target_queued == 0)
		return 1;
	if (waiting > passed - written)
		waiting = passed - written;
	return (__u64)READ_ONCE(target->sk_backlog.rmem_alloc.counter) + waiting + PASSED_OVERHEAD * u->target_queued <=
	       (__u64)READ_ONCE(target->sk_rcvbuf);
}

/*
 * Whether a segment may go beyond the bounds that are usual: within those that are hard. What the send queue has no
 * room for must at least lie in its peer's window: then the peer's kernel takes it, whether or not anybody reads, and
 * the backlog waits for no application. Segments are counted by themselves from the moment on when none waited: what
 * the queue is long of may be the other direction's, PASSed by the thousand.
 */
static __always_inline int fits(const struct uncovered *u, const struct view *view)
{
	__s32 end = view->outstanding + (__s32)u->len;

	return (view->free >= (__s32)SPLICE_COST(u->len) || end <= (__s32)READ_ONCE(u->target->snd_wnd)) &&
	       end <= (__s32)control.limit_bytes && *u->spared < SPLICE_SPARED_SKBS * control.limit_skbs &&
	       is_let_through(u);
}

/*
 * Why the segment has to be PASSed; SPLICE_REASON_NONE when it was promised to the target.
 *
 * A direction must not begin to PASS while the queue of its source holds bytes of the other direction: what is PASSed
 * would wait behind them, and be lost with them when the source is reset, an answer for example whose sender closes
 * with the request unread. Nor while bytes of its own wait in the queue of its target: the other direction would find
 * them there when its turn comes, and whichever way it went, one of the two would wait behind the other. So then the
 * segment is redirected once more; until the worker has come, which takes no application's help. Where the other
 * direction is PASSed already, the second reason has come too late, and one segment more would only stand in its way.
 *
 * And while a direction PASSes, nothing may be redirected into the queue of its source. So the two, which run on two
 * processors, decide one after the other, under the lock of their flow. What credit covers takes no lock: it is
 * promised first, and the credit taken then; here the other's credit is taken away, and then looked at what it has
 * promised. Each second step is a full barrier, so it is either seen or refused.
 */
static __always_inline __u8 decide(const struct uncovered *u)
{
	struct splice_direction *d = u->own;
	__u64 word = READ_ONCE(d->user_word);
	__u8 reason = SPLICE_REASON_DISARMED;
	struct view view;
	int taken;

	if (goes_on(d))
		return reason;
	look(u, &view);
	/* Switched off or disarmed, it begins to PASS with as much care as at any other time. */
	if ((word & SPLICE_ARMED) && READ_ONCE(control.enabled)) {
		reason = grant(u, &view);
		if (take_credit(d, u->len))
			return SPLICE_REASON_NONE;
	}
	__sync_lock_test_and_set(&u->reverse->credit, 0);
	taken = queue_is_taken(u);
	if ((taken || (view.backlog > 0 && !has_passed(u->reverse))) && fits(u, &view)) {
		promise(d, u->len);
		++*u->spared;
		__sync_fetch_and_add(&control.spared, 1);
		return SPLICE_REASON_NONE;
	}
	if (taken)
		__sync_fetch_and_add(&control.behind, 1);
	return reason;
}

/* The segment was promised; the helper's SK_DROP means "no such target", and would lose acknowledged bytes. */
static __always_inline int redirect(struct __sk_buff *skb, struct splice_direction *d, __u32 slot, __u32 len)
{
	stall();
	if (bpf_sk_redirect_map(skb, &sockets, d->target, 0) != SK_PASS) {
		promise(d, -len);
		if (count_passed(d, len, SPLICE_REASON_NO_TARGET))
			tell(d->ring, slot);
		return SK_PASS;
	}
	d->redirected += len;
	return SK_PASS;
}

/* Under the lock of the flow. Returns whether user space has to be told. */
static __always_inline int leave(struct splice_direction *d, struct splice_direction *reverse, __u32 len, __u8 reason)
{
	__sync_lock_test_and_set(&reverse->credit, 0);
	return count_passed(d, len, reason);
}

/* A segment that no credit covers; `reason`: why it has to be PASSed whatever the target can take. */
static __always_inline int without_credit(struct __sk_buff *skb, struct splice_direction *d, __u32 slot, __u32 len,
                                          __u8 reason)
{
	__u32 lower = slot < d->target ? slot : d->target;
	struct splice_flow *flow = bpf_map_lookup_elem(&flows, &lower);
	struct uncovered u = {.len = len, .own = d, .reverse = bpf_map_lookup_elem(&directions, &d->target)};
	struct bpf_sock *target, *source = skb->sk;
	int begins = 0;

	if (!flow || !u.reverse)
		return SK_PASS; /* cannot be */
	/* Most of what is PASSed goes on, and nothing has to be known of the sockets for that. */
	if (reason != SPLICE_REASON_NONE || goes_on(d)) {
		stall();
		bpf_spin_lock(&flow->lock);
		if (reason == SPLICE_REASON_NONE && goes_on(d))
			reason = SPLICE_REASON_DISARMED;
		if (reason != SPLICE_REASON_NONE)
			begins = leave(d, u.reverse, len, reason);
		bpf_spin_unlock(&flow->lock);
		if (reason != SPLICE_REASON_NONE)
			goto left;
	}
	target = bpf_map_lookup_elem(&sockets, &d->target);
	if (target)
		u.target = bpf_skc_to_tcp_sock(target);
	if (u.target)
		u.target_queued = queue_length(u.target);
	else
		reason = SPLICE_REASON_NO_TARGET;
	if (source)
		u.source = bpf_skc_to_tcp_sock(source);
	if (u.source)
		u.source_queued = queue_length(u.source);
	u.spared = &flow->spared[slot != lower];
	stall();
	bpf_spin_lock(&flow->lock);
	if (reason == SPLICE_REASON_NONE)
		reason = decide(&u);
	if (reason != SPLICE_REASON_NONE)
		begins = leave(d, u.reverse, len, reason);
	bpf_spin_unlock(&flow->lock);
	if (target)
		bpf_sk_release(target);
	if (reason == SPLICE_REASON_NONE)
		return redirect(skb, d, slot, len);
left:
	if (begins)
		tell(d->ring, slot);
	stall();
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
	__u8 reason = SPLICE_REASON_NONE;
	__s32 overlap;

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
			cut = 0;
		}
		if (cut) {
			__sync_fetch_and_add(&control.trimmed_skbs, 1);
			__sync_fetch_and_add(&control.trimmed_bytes, cut);
		}
		len -= cut;
		if (len == 0)
			return SK_DROP; /* nothing new in it */
		seq += cut;
	}
	d->next_seq = seq + len;

	if (skb->cb[3] & URG) /* TCP_SKB_CB(skb)->tcp_flags */
		note_urgent(skb, d, seq, len);

	if (d->state & SPLICE_BROKEN)
		reason = SPLICE_REASON_BROKEN;
	else if (d->state & SPLICE_URGENT)
		reason = SPLICE_REASON_URGENT;
	else if (READ_ONCE(d->user_word) == (d->passed | SPLICE_ARMED) && READ_ONCE(control.enabled)) {
		stall();
		if (take_credit(d, len))
			return redirect(skb, d, slot, len);
	}
	return without_credit(skb, d, slot, len, reason);
}
