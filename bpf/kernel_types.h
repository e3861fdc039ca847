/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The few kernel structs our programs look into, with only the fields they read. The names are the kernel's; where
 * a field really lies is filled in from the running kernel's BTF when the program is loaded (CO-RE), so neither a
 * generated vmlinux.h nor kernel headers are needed.
 */
#ifndef SOCKMESH_KERNEL_TYPES_H
#define SOCKMESH_KERNEL_TYPES_H

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff_head {
	__u32 qlen;
};

struct sk_psock {
	struct sk_buff_head ingress_skb; /* what was redirected to the socket and is not yet written */
};

typedef struct {
	int counter;
} atomic_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

struct sock_common {
	__be32 skc_rcv_saddr; /* what it is bound to */
	__be16 skc_dport;
	__u16 skc_num; /* the local port, host order */
	volatile unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	int skc_bound_dev_if;
	struct in6_addr skc_v6_daddr; /* once connected, the mapped address where that is IPv4 */
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags; /* enum sock_flags, as bits */
};

struct sock {
	struct sock_common __sk_common;
	struct {
		atomic_t rmem_alloc; /* what recv() has not taken yet, with the buffers around it */
	} sk_backlog;
	unsigned char sk_userlocks : 4; /* a whole byte on newer kernels */
	int sk_err;
	__u8 sk_shutdown;
	int sk_rcvbuf; /* its bound */
	int sk_sndbuf;
	int sk_wmem_queued;
	void *sk_user_data; /* the sk_psock, with flags in the low three bits */
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 copied_seq; /* first byte not yet read */
	__u32 write_seq;  /* end of what was put into the send queue */
	__u32 snd_una;    /* first byte not yet acknowledged */
	__u32 snd_nxt;    /* first byte not yet sent */
	__u32 snd_wnd;    /* bytes from there on that the peer has room for */
	__u32 urg_seq;    /* the urgent byte, while urg_data is not 0 */
	__u16 urg_data;
	__u64 bytes_retrans;
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 srtt_us;
	__u32 total_retrans;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct sock *sk;
	void *value;
};

#pragma clang attribute pop

#endif
