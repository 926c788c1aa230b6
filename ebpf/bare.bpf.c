// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The least that an XDP program can do: what benches/xdp.rs measures the cost of ours against. Never part of the
 * recorder.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp.frags")
int bare_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
