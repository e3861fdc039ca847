/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What splice.bpf.c and userspace/bpf agree on: the record of one direction, the control block, the event.
 * Plain C for both sides; tests/unit/bpf pins the layout.
 *
 * Everything here lives in memory that both sides have mapped, so there is no map update to race with: each field
 * has one writer, named below.
 */
#ifndef SOCKMESH_INTF_SPLICE_H
#define SOCKMESH_INTF_SPLICE_H

#include <linux/types.h>

/*
 * One direction of a spliced flow: "what arrives on the source socket goes to the target socket". A record's
 * number (its slot) is also the source socket's index in the sockmap. The slot is found from the source's socket
 * cookie without a hash map: it is one of SPLICE_WAYS neighbours, starting at cookie modulo the number of slots.
 *
 * Exactly one cache line, because it is all the state the verdict touches for a segment it redirects.
 */
struct splice_direction {
	/* Written by user space when the flow is made, while neither socket is in the sockmap. */
	__u64 cookie; /* of the source socket; 0: the slot is free */

	/* Written by user space at any time: SPLICE_ARMED | bytes of PASSed data already written to the target. */
	__u64 user_word;

	/* Written by the verdict alone, under the source's socket lock. Bytes since insertion. */
	__u64 redirected; /* handed to the target in the kernel */
	__u64 passed;     /* left to user space */

	/* As cookie. */
	__u32 target; /* slot of the target socket */
	__u32 ring;   /* who is told that PASSing began; SPLICE_NO_RING: nobody */

	/* As redirected. */
	__u32 next_seq;    /* TCP sequence number of the first byte not yet seen */
	__u32 base_seq;    /* the target's write_seq at insertion */
	__s32 credit;      /* what may be redirected before the target is looked at again, in SPLICE_COST units;
			       the other direction's verdict sets it to 0 before it begins to PASS */
	__u16 credit_skbs; /* the same in segments */
	__u8 state;        /* SPLICE_HAS_NEXT ... */
	__u8 pass_reason;  /* enum splice_reason: why PASSing began last time */
	__u32 promised;    /* as redirected, modulo 2^32, but counted before the credit for it is taken: whoever
			       has set `credit` to 0 finds here all that may still come */
	__u32 urgent_at;   /* SPLICE_URGENT_AT: PASSed bytes before the urgent byte, modulo 2^32 */
};

/* user_word */
#define SPLICE_ARMED (1ull << 63)
#define SPLICE_COUNT_MASK (SPLICE_ARMED - 1)

/* state */
#define SPLICE_HAS_NEXT 1u /* next_seq is known */
#define SPLICE_HAS_BASE 2u /* base_seq is known */
#define SPLICE_BROKEN 4u   /* a duplicate could not be cut off: the stream is lost, user space has to reset the flow */
#define SPLICE_URGENT 8u   /* urgent data was seen: PASSes from there on, for ever */
#define SPLICE_URGENT_AT 16u /* urgent_at is known */

enum splice_reason {
	SPLICE_REASON_NONE,
	SPLICE_REASON_DISARMED,  /* user space or the kill switch said no */
	SPLICE_REASON_NO_TARGET, /* the target left the sockmap, or the helper refused */
	SPLICE_REASON_QUEUE,     /* too many segments wait for the target's worker */
	SPLICE_REASON_ROOM,      /* the target's send buffer could not take it all without its peer's help */
	SPLICE_REASON_LIMIT,     /* too many bytes are on their way to the target's peer */
	SPLICE_REASON_REVERSE,   /* the target's own bytes are, or soon will be, PASSed; both kinds share one queue */
	SPLICE_REASON_BROKEN,    /* see SPLICE_BROKEN */
	SPLICE_REASON_URGENT,    /* see SPLICE_URGENT */
};

/*
 * What a segment costs of the target's send buffer: its bytes twice, and a bit for the sk_buff around them. Twice,
 * because the kernel charges whole buffers; with less, a backlog could come to wait for the peer
 * (docs/sockmap.md#credit).
 */
#define SPLICE_SKB_OVERHEAD 1024
#define SPLICE_COST(len) (2 * (len) + SPLICE_SKB_OVERHEAD)

/*
 * Usually a direction uses three quarters of limit_bytes, and limit_skbs. The last quarter, and SPLICE_SPARED_SKBS
 * times as many segments more, counted since none waited, are for those that would queue behind a backlog if they were
 * PASSed.
 */
#define SPLICE_SOFT(bytes) ((bytes) - (bytes) / 4)
#define SPLICE_SPARED_SKBS 8

#define SPLICE_WAYS 4
#define SPLICE_MAX_RINGS 64
#define SPLICE_NO_RING 0xffffffffu

/* One for the process. */
struct splice_control {
	/* Written by user space. */
	__u32 enabled; /* the kill switch: 0 makes every socket PASS, once nothing waits in its queue */
	__u32 limit_skbs; /* segments that may wait for one target's worker; SPLICE_SPARED_SKBS times so many more in need */
	__u32 limit_bytes; /* bytes that may be on their way to one target's peer: unsent, unacknowledged or waiting;
			      SPLICE_SOFT of them unless there is need */
	__u32 unused;

	/* Counted by the verdict, atomically; all rare. */
	__u64 trimmed_skbs; /* segments of which a part had been delivered before */
	__u64 trimmed_bytes;
	__u64 fins;      /* zero-length segments dropped */
	__u64 broken;    /* directions that became SPLICE_BROKEN */
	__u64 strangers; /* segments of sockets without a record, PASSed */
	__u64 spared;    /* segments redirected in need: PASSed, they would have queued behind a backlog */
	__u64 behind;    /* PASSing that began behind a backlog: a reset would take those bytes with it */

	/*
	 * Set by the verdict when an event did not fit into the ring, cleared by the reader, who then has to look at
	 * all its flows.
	 */
	__u32 lost[SPLICE_MAX_RINGS];
};

/* In the ring of a worker: the direction in `slot` began to PASS. */
struct splice_event {
	__u32 slot;
	__u32 unused;
};

#endif
