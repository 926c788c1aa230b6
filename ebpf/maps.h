/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Maps and settings that the XDP program and the socket filter have in common. The loader (src/bpf/) sets the
 * constants before the load and may change max_entries of the shunt's two maps.
 */
#ifndef RETROTAP_MAPS_H
#define RETROTAP_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "retrotap.h"

/* ---- settings: constant once loaded, so that the verifier drops the branches they switch off ------------------ */
const volatile __u64 rt_hash_key[RT_HASH_WORDS] = {}; /* Parser::hash_keys() of the seed */
const volatile __u32 rt_ifindex[RT_IFACES_MAX] = {};  /* interface slot -> ifindex */
const volatile __u32 rt_ifaces = 1;		      /* slots in use */
const volatile __u8 rt_vlan_in_key = 1;		      /* VLAN ids tell connections apart */
const volatile __u8 rt_shunt_enabled = 1;
#define RT_SHUNT_BUCKETS 32768
const volatile __u32 rt_shunt_mask = RT_SHUNT_BUCKETS - 1; /* buckets - 1 */

/* ---- shunt ----------------------------------------------------------------------------------------------------- */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, RT_SHUNT_BUCKETS);
	__type(key, __u32);
	__type(value, struct rt_shunt_bucket);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct rt_shunt_slot);
} slots SEC(".maps");

/* ---- counters -------------------------------------------------------------------------------------------------- */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RT_IFACES_MAX *RT_QUEUES_MAX);
	__type(key, __u32);
	__type(value, struct rt_counts);
} counts SEC(".maps");

/* The slot of an interface; RT_IFACES_MAX if it is none of ours. */
static __always_inline __u32 rt_iface_slot(__u32 ifindex)
{
	for (__u32 i = 0; i < RT_IFACES_MAX; i++)
		if (i < rt_ifaces && rt_ifindex[i] == ifindex)
			return i;
	return RT_IFACES_MAX;
}

#endif
