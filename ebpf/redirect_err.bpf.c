// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counts by cause what XDP redirected to our sockets and they did not take: the tracepoint names the map and the index,
 * so each failure is counted once and on its queue (the sockets' own statistics count some twice and some not at
 * all). Loaded after the XDP program, as it needs the id of its map.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include "retrotap.h"

const volatile __u32 rt_xsks_id = 0; /* id of the XDP program's map `xsks` */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RT_IFACES_MAX *RT_QUEUES_MAX);
	__type(key, __u32);
	__type(value, struct rt_redirect_failed);
} redirect_failed SEC(".maps");

/* Arguments of the tracepoint: device, program, target, error, map type, map id, index. */
SEC("tp_btf/xdp_redirect_err")
int retrotap_redirect_err(__u64 *args)
{
	int error = args[3];
	__u32 map_id = args[5], port = args[6];
	struct rt_redirect_failed *failed;

	if (map_id != rt_xsks_id)
		return 0;
	failed = bpf_map_lookup_elem(&redirect_failed, &port);
	if (!failed)
		return 0;
	switch (error) {
	case -ENOBUFS:
		failed->ring_full++;
		break;
	case -ENOMEM:
		failed->no_frame++;
		break;
	case -ENOSPC:
	case -EOVERFLOW:
		failed->too_big++;
		break;
	default:
		failed->unbound++;
	}
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
