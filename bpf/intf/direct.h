/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Lane 3: what the programs of direct.bpf.c and user space agree on. Plain C, included by both; its C++ companions are
 * userspace/bpf/direct_table.h (decisions) and direct_record.h (what became of a flow). docs/direct.md has the rules.
 *
 * Maps can outlive the process that filled them. So every struct here is a stored format: what changes one of them
 * counts DIRECT_LAYOUT on, and a process that finds another number leaves the maps alone.
 *
 * Numbers (of routes, clusters, live records) are user space's. A number keeps its meaning while any flow remembers it:
 * it is given to something else only when no open flow and no event names it any more.
 */
#ifndef SOCKMESH_DIRECT_H
#define SOCKMESH_DIRECT_H

#include <linux/types.h>

#define DIRECT_LAYOUT 2u

#define DIRECT_SIDES 2u         /* the decisions exist twice: one side is in force, the other is written */
#define DIRECT_MAX_CHOICES 8u   /* weighted clusters of a route; a route with more is not for this lane */
#define DIRECT_MAX_HOSTS 4096u  /* hosts of a cluster; as well the bound of the search among their weights */
#define DIRECT_SEARCH_STEPS 12u /* 2^12 hosts */
#define DIRECT_NONE 0xffffffffu /* no number, no bound */

/* An IPv4 address is mapped: ::ffff:a.b.c.d. */
struct direct_address {
	__u8 ip[16];
	__u16 port; /* network order */
	__u16 unused;
};

/* --- Decisions: written by user space, on the side that is not in force ------------------------------------------- */

/* Key of `destinations`: an address and port exactly. */
struct direct_destination {
	__u8 ip[16];
	__u16 port; /* network order */
	__u8 side;
	__u8 unused;
};

/*
 * Key of `prefixes`, a trie. The port comes before the address, so the longest match is the longest prefix among those
 * of one port; port 0 is "any port" and is asked last. The families are apart: ::/0 is no match for an IPv4 address.
 */
struct direct_prefix {
	__u32 bits; /* DIRECT_PREFIX_BITS + those of the address, of 128 */
	__u8 side;
	__u8 family; /* 4 or 6 */
	__u16 port;  /* network order */
	__u8 ip[16];
};
#define DIRECT_PREFIX_BITS 32u /* side, family and port */

enum direct_verdict_kind {
	DIRECT_INTERCEPT, /* left alone: the rules lead it to the proxy */
	DIRECT_ROUTE,
	DIRECT_REFUSE,
};

/* Value of both. */
struct direct_verdict {
	__u16 kind;  /* enum direct_verdict_kind */
	__u16 error; /* DIRECT_REFUSE: what connect() fails with */
	__u32 route; /* DIRECT_ROUTE */
};

/* Key of `routes` and `clusters`. */
struct direct_number {
	__u32 side;
	__u32 number;
};

struct direct_choice {
	__u32 cluster;
	__u32 weight_end; /* its weight and those of the choices before it */
};

struct direct_route {
	__u32 choices;
	__u32 total_weight; /* weight_end of the last */
	struct direct_choice choice[DIRECT_MAX_CHOICES];
};

enum direct_balancing {
	DIRECT_RANDOM,
	DIRECT_ROUND_ROBIN,
	DIRECT_LEAST_REQUEST, /* of two random hosts the one with fewer open connections for its weight */
	DIRECT_FIXED,         /* always the same: user space has hashed the pod's address */
	DIRECT_ORIGINAL,      /* the address stays: Passthrough. No hosts */
};

/* flags of a cluster */
#define DIRECT_EQUAL_WEIGHTS 1u    /* no search among the weights */
#define DIRECT_REFUSE_WHEN_FULL 2u /* at max_connections: ECONNREFUSED; else the proxy decides */

struct direct_cluster {
	__u8 balancing; /* enum direct_balancing */
	__u8 flags;
	__u16 unused;
	__u32 hosts; /* 0: ECONNREFUSED */
	__u32 total_weight;
	/*
	 * DIRECT_ROUND_ROBIN goes from weight to weight in steps of `stride`. It has no divisor in common with
	 * total_weight, so each host gets its weight in total_weight turns; and it is not small, so the turns of a heavy
	 * host are spread over them.
	 */
	__u32 stride;
	__u32 start;           /* DIRECT_FIXED: the host. DIRECT_ROUND_ROBIN: the first turn */
	__u32 max_connections; /* DIRECT_NONE: no bound */
	__u32 live;
	__u32 connect_timeout_ms; /* 0: the application's own, or the kernel's */
};

/* Key of `hosts`. The hosts of a cluster are 0 to hosts - 1. */
struct direct_host_key {
	__u32 side;
	__u32 cluster;
	__u32 index;
};

struct direct_host {
	struct direct_address address;
	__u32 weight;
	__u32 weight_end; /* its weight and those of the hosts before it */
	__u32 live;
};

/* --- Live counts: written by the programs, left alone by changes of the decisions ---------------------------------- */

/* Value of `live`, an array; one for a host, one for a cluster. */
struct direct_live {
	__s32 open;    /* connections that are open or being made */
	__u32 drawn;   /* how often it was chosen, modulo 2^32; of a cluster, the turn of its round robin */
	__s32 proxied; /* those that the proxy carries, written by user space; they count like open ones */
	__u32 unused;
};

/* --- Flows -------------------------------------------------------------------------------------------------------- */

enum direct_phase {
	DIRECT_DECIDED,    /* connect() was told where to; nothing was sent */
	DIRECT_CONNECTING, /* counted in the live records */
	DIRECT_OPEN,       /* counted */
	DIRECT_CLOSED,
};

/* The storage of a socket that this lane has led somewhere. */
struct direct_flow {
	__u64 cookie;         /* the socket's, as `ss -e` shows it */
	__u64 generation;     /* of the decisions that led it */
	__u64 connect_ns;     /* CLOCK_MONOTONIC: the first SYN */
	__u64 established_ns; /* 0: not yet, or never */
	__u32 route;
	__u32 cluster;
	__u32 cluster_live;          /* DIRECT_NONE: not counted */
	__u32 host_live;             /* DIRECT_NONE for DIRECT_ORIGINAL */
	struct direct_address asked; /* what the application gave to connect() */
	__u32 old_mark;              /* the masked bits of the socket's mark before ours */
	__u32 mark;                  /* what was put there */
	__u32 mark_mask;             /* which bits */
	__u32 old_timeout;           /* TCP_USER_TIMEOUT of the application, ms */
	__u32 timeout;               /* what was put there until it is established; 0: nothing was */
	__u8 phase;                  /* enum direct_phase */
	__u8 first_step;             /* the first TCP state after ESTABLISHED: who closed first; 0 while it is open */
	__u8 ipv6;                   /* an AF_INET6 socket, whatever it asked for */
	__u8 unused[5];
};

/*
 * What the kernel knew of the socket at one moment: raw, so that the arithmetic is user space's (direct_record.h).
 * At an event the socket is locked and the numbers belong together; through the iterator it is not.
 */
struct direct_reading {
	__u64 now_ns;         /* CLOCK_MONOTONIC */
	__u64 bytes_retrans;  /* sent again */
	__u64 bytes_acked;    /* SYN and FIN count as a byte each */
	__u64 bytes_received; /* a FIN counts as a byte */
	__u32 srtt_us;        /* times 8 */
	__u32 retransmits;    /* segments, SYNs among them */
	__u32 in_flight;      /* bytes sent and not acknowledged; SYN and FIN count as a byte each */
	__u32 error;          /* sk_err: 0, or an errno */
	__u8 state;           /* TCP state: what it goes to, at an event */
	__u8 shutdown;        /* 1 no more received, 2 no more sent */
	__u8 flags;           /* DIRECT_FIN_CAME ... */
	__u8 unused;
	struct direct_address local;
	struct direct_address remote; /* the endpoint */
	__u32 unused_2;
};
#define DIRECT_FIN_CAME 1u  /* it is in bytes_received */
#define DIRECT_FIN_ACKED 2u /* it is in bytes_acked */
#define DIRECT_FIN_SENT 4u  /* it is in bytes_acked or in in_flight */

enum direct_record_kind {
	DIRECT_OPENED, /* established */
	DIRECT_ENDED,  /* was established, and is no more */
	DIRECT_FAILED, /* never was: refused, unreachable, timed out, given up */
	DIRECT_SEEN,   /* by the iterator */
	/*
	 * connect() was refused by the decisions, so there is no flow: of `flow` its cookie, generation, route, cluster and
	 * what was asked, of `reading` the time, the error, and the address that the socket is bound to, if it is.
	 */
	DIRECT_REFUSED,
};

/* In the ring, and what the iterator writes. */
struct direct_record {
	__u32 kind;       /* enum direct_record_kind */
	__u32 from_state; /* the TCP state that it left; DIRECT_REFUSED: why, an enum direct_count */
	struct direct_flow flow;
	struct direct_reading reading;
};

/* --- One for all --------------------------------------------------------------------------------------------------- */

/* What became of each connect() of a TCP socket, and what went wrong. */
enum direct_count {
	/* direct */
	DIRECT_COUNT_REWRITTEN,
	DIRECT_COUNT_ORIGINAL, /* DIRECT_ORIGINAL */
	/* left to the rules and the proxy */
	DIRECT_COUNT_MISSED,      /* no entry */
	DIRECT_COUNT_INTERCEPTED, /* an entry says so */
	DIRECT_COUNT_OFF,         /* the kill switch */
	DIRECT_COUNT_OWN,         /* the proxy's own */
	DIRECT_COUNT_MPTCP,
	DIRECT_COUNT_LOCAL,      /* to a loopback address, or to none */
	DIRECT_COUNT_BOUND,      /* bound to a port, a loopback address or the loopback device */
	DIRECT_COUNT_FAMILY,     /* the socket cannot reach an endpoint of that family */
	DIRECT_COUNT_FULL,       /* max_connections */
	DIRECT_COUNT_INCOMPLETE, /* a route, cluster or host that the maps do not have */
	DIRECT_COUNT_UNMARKED,   /* the kernel refused the mark, or had no memory */
	/* refused */
	DIRECT_COUNT_REFUSED, /* an entry says so */
	DIRECT_COUNT_NO_HOST,
	DIRECT_COUNT_REFUSED_FULL,
	/* faults */
	DIRECT_COUNT_LOST,      /* events that the ring had no room for */
	DIRECT_COUNT_RECOUNTED, /* flows that came to connect() again while still counted: an end was missed */
	DIRECT_COUNTS,
};

struct direct_control {
	/* Written by user space. */
	__u32 layout;  /* DIRECT_LAYOUT */
	__u32 enabled; /* the kill switch: 0 leaves every new connection to the proxy; open flows go on */
	__u32 active;  /* the side in force */
	__u32 mark;    /* put on a direct socket, so that the rules let it pass */
	__u32 mark_mask;
	__u32 uid; /* of the proxy, whose sockets are left alone; DIRECT_NONE: nobody */
	__u32 gid;
	__u32 unused;
	__u64 generation[DIRECT_SIDES]; /* of each side's decisions */

	/* Counted by the programs, atomically. */
	__u64 counts[DIRECT_COUNTS];
};

#endif
