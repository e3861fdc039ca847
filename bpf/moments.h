/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Reading and writing what others change meanwhile, and letting time pass between two steps, so that a test meets what
 * comes between them once in millions.
 */
#ifndef SOCKMESH_MOMENTS_H
#define SOCKMESH_MOMENTS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))

#define STALL_TURNS 65536 /* of some 30 ns: above the longest stall there is */

static long stall_turn(__u32 index, __u64 *end)
{
	return bpf_ktime_get_ns() >= *end;
}

static __always_inline void stall_for(__u64 nanoseconds)
{
	__u64 end = bpf_ktime_get_ns() + nanoseconds;

	bpf_loop(STALL_TURNS, stall_turn, &end, 0);
}

#endif
