// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The least that an XDP program can do, alone and with an AF_XDP socket behind it: what benches/xdp.rs and `cargo xtask
 * bench line` measure the cost of ours against. Never part of the recorder.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define QUEUES 64

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

SEC("xdp.frags")
int bare_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp.frags")
int bare_redirect(struct xdp_md *ctx)
{
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
