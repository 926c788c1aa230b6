/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parser: from bytes to the connection they belong to. src/packet/ holds the same parser in Rust, and a test
 * compares them packet by packet; a rule that changes here changes there. The rules, in short:
 *
 *  - Only the first RT_PARSE_BYTES bytes are looked at. A header that does not lie wholly within them and within the
 *    packet does not parse. Length fields of IP and UDP are not looked at, as in libpcap.
 *  - The connection is that of the innermost IP header reached. A layer that does not parse leaves it at the last one
 *    that did; with none, it is that of the outermost Ethernet header; without that either, it is opaque.
 *  - A fragment's tunnel is not followed.
 *  - IP headers, tunnel headers (GRE, VXLAN, Geneve, GTP-U, PPPoE) and label stacks count as layers; there are
 *    RT_LAYERS_MAX at most. An Ethernet header with its tags belongs to the tunnel header in front of it.
 *
 * The including file defines RT_CTX (the context's type) and RT_LOAD(ctx, off, dst), which copies sizeof(*dst) bytes at
 * off to *dst and is true if they were there.
 */
#ifndef RETROTAP_PARSE_H
#define RETROTAP_PARSE_H

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <stdbool.h>
#include "retrotap.h"

/* What comes next. */
enum rt_next {
	RT_DONE = 0,
	RT_IP, /* IPv4 or IPv6, by the first nibble */
	RT_IP4,
	RT_IP6,
	RT_MPLS,
	RT_PPPOE,
	RT_GRE,
	RT_VXLAN,
	RT_GENEVE,
	RT_GTPU,
	RT_ETHER,      /* inside a tunnel */
	RT_EXTENSIONS, /* of IPv6 */
};

#define RT_LINKTYPE_ETHERNET 1
#define RT_MACS		     12 /* bytes of both */

enum rt_fragment {
	RT_FRAG_NONE = 0,
	RT_FRAG_FIRST = 1,
	RT_FRAG_LATER = 2,
};

/* Where the parser stands, and the connection it has reached. */
struct rt_walk {
	__u64 src[2], dst[2]; /* as on the wire; IPv4: the low half of the first */
	__u32 net;	      /* of the connection reached */
	__u16 vlan[2];
	__u16 sport, dport;
	__u8 proto;
	__u8 net_kind;
	__u8 version;  /* 4, 6; 0 while no IP header was reached */
	__u8 fragment; /* enum rt_fragment */
	__u8 tcp_flags;
	__u8 llc;   /* outermost Ethernet header: type is DSAP << 8 | SSAP */
	__u16 type; /* outermost Ethernet header's type */
	__u16 l3;   /* offset of the IP header reached */

	__u16 off;	   /* of the next header */
	__u8 next;	   /* enum rt_next */
	__u8 new_net_kind; /* of the tunnel and Ethernet headers passed since */
	__u32 new_net;
	__u16 new_vlan[2];
	__u16 outer_vlan[2]; /* outermost Ethernet header */
};

struct rt_llc {
	__u8 dsap, ssap, control, oui[3];
	__be16 type;
};

static __always_inline __u8 rt_next_of_ethertype(__u16 type)
{
	switch (type) {
	case 0x0800:
		return RT_IP4;
	case 0x86dd:
		return RT_IP6;
	case 0x8847:
	case 0x8848:
		return RT_MPLS;
	case 0x8864:
		return RT_PPPOE;
	}
	return RT_DONE;
}

static __always_inline void rt_add_vlan(struct rt_walk *w, __u16 tci)
{
	__u16 id = tci & 0xfff;

	/* Id 0 means priority only: the frame belongs to no VLAN. */
	if (!id)
		return;
	if (!w->new_vlan[0])
		w->new_vlan[0] = id | 0x8000;
	else
		w->new_vlan[1] = id | 0x8000;
}

/* The two bytes after the MACs or a tag, at off: an ethertype, or a length with LLC behind it. Sets next, off, type. */
static __always_inline void rt_type(RT_CTX *ctx, struct rt_walk *w, __u16 type, bool outermost)
{
	bool llc = false;

	if (type < 0x600) {
		struct rt_llc snap;
		__be16 sap;

		llc = true;
		if (RT_LOAD(ctx, w->off, &snap) && snap.dsap == 0xaa && snap.ssap == 0xaa && snap.control == 3 &&
		    !snap.oui[0] && !snap.oui[1] && !snap.oui[2]) {
			type = bpf_ntohs(snap.type);
			llc = false;
			w->off += sizeof(snap);
		} else {
			type = RT_LOAD(ctx, w->off, &sap) ? bpf_ntohs(sap) : 0;
		}
	}
	if (outermost) {
		w->type = type;
		w->llc = llc;
	}
	w->next = llc ? RT_DONE : rt_next_of_ethertype(type);
}

static __always_inline bool rt_is_vlan(__u16 type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

/* An Ethernet header at off; `tags` of an outermost one's tags were taken from it before. False if it is not there. The
 * tags of an outer header are forgotten: they belong to the path between the tunnel's ends. */
static __always_inline bool rt_ether(RT_CTX *ctx, struct rt_walk *w, int tags, bool outermost)
{
	struct {
		__be16 tci, type;
	} tag;
	__be16 ethertype;
	__u16 type;

	w->next = RT_DONE;
	if (!RT_LOAD(ctx, w->off + RT_MACS, &ethertype))
		return false;
	if (!outermost)
		w->new_vlan[0] = w->new_vlan[1] = 0;
	w->off += RT_MACS + sizeof(ethertype);
	type = bpf_ntohs(ethertype);
	for (int i = 0; i < RT_VLANS_MAX; i++) {
		if (i < tags)
			continue;
		if (!rt_is_vlan(type) || !RT_LOAD(ctx, w->off, &tag))
			break;
		w->off += sizeof(tag);
		rt_add_vlan(w, bpf_ntohs(tag.tci));
		type = bpf_ntohs(tag.type);
	}
	rt_type(ctx, w, type, outermost);
	return true;
}

#include "ip.h"
#include "tunnel.h"

/* Follows up to `layers` layers to the innermost. A function of its own: the verifier looks at it once, not once for
 * each path that leads here. */
__noinline int rt_follow(RT_CTX *ctx, struct rt_walk *w, int layers)
{
	if (!w)
		return 0;
	for (int i = 0; i <= RT_LAYERS_MAX; i++) {
		if (w->next == RT_EXTENSIONS)
			rt_extensions(ctx, w);
		if (i >= layers || w->next == RT_DONE)
			break;
		rt_step(ctx, w);
	}
	return 0;
}

/* Parses a packet that begins with an Ethernet header; `tags` of its VLAN tags are in *w already. False if there is no
 * Ethernet header. The first IP header is read here, without a call: most packets are done then. */
static __always_inline bool rt_parse_ether(RT_CTX *ctx, struct rt_walk *w, int tags)
{
	int layers = RT_LAYERS_MAX - 1;

	if (!rt_ether(ctx, w, tags, true))
		return false;
	w->outer_vlan[0] = w->new_vlan[0];
	w->outer_vlan[1] = w->new_vlan[1];
	if (w->next == RT_IP4)
		rt_ip4(ctx, w);
	else if (w->next == RT_IP6)
		rt_ip6(ctx, w);
	else
		layers = RT_LAYERS_MAX;
	if (w->next != RT_DONE) {
		/* A copy: what a function gets the address of cannot stay in registers. */
		struct rt_walk deeper = *w;

		rt_follow(ctx, &deeper, layers);
		*w = deeper;
	}
	return true;
}

#endif
