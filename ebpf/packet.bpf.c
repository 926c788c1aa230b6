// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The socket filter of an AF_PACKET source: the same parser and the same shunt as the XDP program. Takes nothing from
 * the host; a shunted packet is merely not copied to our socket. The kernel has taken the outermost VLAN tag out of the
 * bytes: here it is put in front again.
 */
#include "maps.h"

#define RT_CTX struct __sk_buff
#define RT_LOAD(ctx, off, dst)                                                                                         \
	((off) + sizeof(*(dst)) <= RT_PARSE_BYTES && !bpf_skb_load_bytes(ctx, off, dst, sizeof(*(dst))))

#include "parse.h"
#include "shunt.h"

const volatile __u8 rt_loopback[RT_IFACES_MAX] = {}; /* slot -> shows each packet twice: skip the outgoing one */
/* Slot -> pcap link type: RT_LINKTYPE_ETHERNET, RT_LINKTYPE_RAW (tun); packets of any other are opaque. */
const volatile __u16 rt_link_type[RT_IFACES_MAX] = {1, 1, 1, 1, 1, 1, 1, 1};

/* What of <linux/if_packet.h> and the pcap link types is needed. */
enum {
	RT_PACKET_OUTGOING = 4,
	RT_LINKTYPE_RAW = 101,
};

#define RT_SNAP_ALL   0xffffffff
#define RT_VLAN_BYTES 4

/* Parses by the interface's link type; false if nothing is understood. */
static __always_inline bool rt_parse_link(struct __sk_buff *skb, struct rt_walk *w, __u16 link_type, int tags)
{
	if (link_type == RT_LINKTYPE_ETHERNET)
		return rt_parse_ether(skb, w, tags);
	if (link_type == RT_LINKTYPE_RAW) {
		w->next = RT_IP;
		rt_follow(skb, w, RT_LAYERS_MAX);
	}
	return w->version;
}

SEC("socket")
int retrotap_packet(struct __sk_buff *skb)
{
	__u32 iface = rt_iface_slot(skb->ifindex), port = iface * RT_QUEUES_MAX;
	__u64 bytes = skb->len;
	struct rt_shunt_slot *slot;
	struct rt_counts *count;
	struct rt_walk w = {};
	union rt_key key;
	__u16 link_type;
	bool understood;
	int tags = 0;

	/* Not one of our interfaces. */
	if (iface >= RT_IFACES_MAX)
		return 0;
	link_type = rt_link_type[iface];
	if (rt_loopback[iface] && skb->pkt_type == RT_PACKET_OUTGOING)
		return 0;
	count = bpf_map_lookup_elem(&counts, &port);
	if (!count)
		return 0;
	if (skb->vlan_present) {
		rt_add_vlan(&w, skb->vlan_tci);
		bytes += RT_VLAN_BYTES;
		tags = 1;
	}
	/* Atomic: not only softirq comes here but also what this CPU sends. */
	__sync_fetch_and_add(&count->seen, 1);
	__sync_fetch_and_add(&count->seen_bytes, bytes);

	understood = rt_parse_link(skb, &w, link_type, tags);
	if (!understood)
		return RT_SNAP_ALL;
	rt_key_of(skb, &w, understood, link_type, &key);
	slot = rt_shunt_find(&w, &key, rt_hash(&w, &key));
	if (slot && rt_shunt_hit(slot, &w, bytes)) {
		__sync_fetch_and_add(&count->shunted, 1);
		__sync_fetch_and_add(&count->shunted_bytes, bytes);
		return 0;
	}
	return RT_SNAP_ALL;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
