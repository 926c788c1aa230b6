/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tunnels and label stacks (src/packet/tunnel.rs). Part of parse.h, which includes it. Each step leaves in off and next
 * what it carries, next RT_DONE if it does not parse.
 */
#ifndef RETROTAP_TUNNEL_H
#define RETROTAP_TUNNEL_H

struct rt_word {
	__u8 b[4];
};

struct rt_vni {
	__u8 flags, options;
	__be16 type;
	__be32 vni; /* 24 bits and 8 that are reserved */
};

static __always_inline __u8 rt_next_in_tunnel(__u16 ethertype)
{
	return ethertype == 0x6558 ? RT_ETHER : rt_next_of_ethertype(ethertype);
}

/* RFC 3032. Past the bottom of the stack: IP by the first nibble; nibble 0 is a pseudowire's control word (RFC 4385),
 * taken as Ethernet. */
static __always_inline void rt_mpls(RT_CTX *ctx, struct rt_walk *w)
{
	struct rt_word label;
	__u8 first;

	for (int i = 0; i < RT_MPLS_MAX; i++) {
		if (!RT_LOAD(ctx, w->off, &label))
			return;
		w->off += sizeof(label);
		if (!(label.b[2] & 1))
			continue;
		if (!RT_LOAD(ctx, w->off, &first))
			return;
		first >>= 4;
		if (first == 4) {
			w->next = RT_IP4;
		} else if (first == 6) {
			w->next = RT_IP6;
		} else if (first == 0) {
			w->off += 4;
			w->next = RT_ETHER;
		}
		return;
	}
}

/* A PPP protocol field, possibly of one byte, behind address and control if they are there (RFC 1661, 1662). */
static __always_inline void rt_ppp(RT_CTX *ctx, struct rt_walk *w)
{
	__be16 protocol;
	__u8 shortened;

	if (RT_LOAD(ctx, w->off, &protocol) && protocol == bpf_htons(0xff03))
		w->off += 2;
	if (!RT_LOAD(ctx, w->off, &shortened))
		return;
	if (shortened & 1) {
		w->off += 1;
		protocol = bpf_htons(shortened);
	} else {
		if (!RT_LOAD(ctx, w->off, &protocol))
			return;
		w->off += 2;
	}
	switch (bpf_ntohs(protocol)) {
	case 0x0021:
		w->next = RT_IP4;
		break;
	case 0x0057:
		w->next = RT_IP6;
		break;
	case 0x0281:
	case 0x0283:
		w->next = RT_MPLS;
	}
}

/* RFC 2516, session stage. */
static __always_inline void rt_pppoe(RT_CTX *ctx, struct rt_walk *w)
{
	struct {
		__be16 version_type_code, session, len;
	} pppoe;

	if (!RT_LOAD(ctx, w->off, &pppoe) || pppoe.version_type_code != bpf_htons(0x1100))
		return;
	w->off += sizeof(pppoe);
	rt_ppp(ctx, w);
}

/* RFC 2784, 2890 (version 0) and RFC 2637 (version 1, PPTP, whose call id differs by direction and is no net). */
static __always_inline void rt_gre(RT_CTX *ctx, struct rt_walk *w)
{
	struct {
		__be16 flags, type;
	} gre;
	__be32 key;
	__u16 flags, type, sequence;
	__u8 last;

	if (!RT_LOAD(ctx, w->off, &gre))
		return;
	flags = bpf_ntohs(gre.flags);
	type = bpf_ntohs(gre.type);
	sequence = flags & 0x1000 ? 4 : 0;
	if ((flags & 7) == 1 && type == 0x880b) {
		w->off += 8 + sequence + (flags & 0x80 ? 4 : 0);
		rt_ppp(ctx, w);
		return;
	}
	/* Source routing (RFC 1701) is not followed. */
	if (flags & 0x4007)
		return;
	w->off += flags & 0x8000 ? 8 : 4;
	if (flags & 0x2000) {
		if (!RT_LOAD(ctx, w->off, &key))
			return;
		w->new_net = bpf_ntohl(key);
		w->new_net_kind = RT_NET_GRE;
		w->off += 4;
	}
	w->off += sequence;
	if (type == 0x88be) {
		/* ERSPAN: type II has a header, and a sequence number in GRE; type I neither. */
		w->off += sequence ? 8 : 0;
		w->next = RT_ETHER;
	} else if (type == 0x22eb) {
		/* Type III: the last bit of its 12 bytes says that 8 more follow. */
		if (!RT_LOAD(ctx, w->off + 11, &last))
			return;
		w->off += last & 1 ? 20 : 12;
		w->next = RT_ETHER;
	} else {
		w->next = rt_next_in_tunnel(type);
	}
}

/* RFC 7348; the flag that says the id is valid is required. */
static __always_inline void rt_vxlan(RT_CTX *ctx, struct rt_walk *w)
{
	struct rt_vni vxlan;

	if (!RT_LOAD(ctx, w->off, &vxlan) || !(vxlan.flags & 8))
		return;
	w->off += sizeof(vxlan);
	w->new_net = bpf_ntohl(vxlan.vni) >> 8;
	w->new_net_kind = RT_NET_VXLAN;
	w->next = RT_ETHER;
}

/* RFC 8926, version 0. */
static __always_inline void rt_geneve(RT_CTX *ctx, struct rt_walk *w)
{
	struct rt_vni geneve;

	if (!RT_LOAD(ctx, w->off, &geneve) || geneve.flags >> 6)
		return;
	w->off += sizeof(geneve) + (geneve.flags & 63) * 4;
	w->new_net = bpf_ntohl(geneve.vni) >> 8;
	w->new_net_kind = RT_NET_GENEVE;
	w->next = rt_next_in_tunnel(bpf_ntohs(geneve.type));
}

/* 3GPP TS 29.281: a T-PDU of version 1 with its extension headers. */
static __always_inline void rt_gtpu(RT_CTX *ctx, struct rt_walk *w)
{
	struct {
		__u8 flags, type;
		__be16 len;
		__be32 teid;
	} gtp;
	struct rt_word options;
	__u8 extension = 0, units;

	if (!RT_LOAD(ctx, w->off, &gtp) || (gtp.flags & 0xf0) != 0x30 || gtp.type != 0xff)
		return;
	w->off += sizeof(gtp);
	if (gtp.flags & 7) {
		if (!RT_LOAD(ctx, w->off, &options))
			return;
		w->off += sizeof(options);
		if (gtp.flags & 4)
			extension = options.b[3];
		for (int i = 0; i < RT_EXT_MAX && extension; i++) {
			if (!RT_LOAD(ctx, w->off, &units) || !units)
				return;
			w->off += units * 4;
			if (!RT_LOAD(ctx, w->off - 1, &extension))
				return;
		}
		if (extension)
			return;
	}
	w->next = RT_IP;
}

/* One layer, with the Ethernet header inside it. */
static __always_inline void rt_step(RT_CTX *ctx, struct rt_walk *w)
{
	__u8 next = w->next, first;

	w->next = RT_DONE;
	if (next == RT_IP) {
		if (!RT_LOAD(ctx, w->off, &first))
			return;
		next = first >> 4 == 4 ? RT_IP4 : first >> 4 == 6 ? RT_IP6 : RT_DONE;
	}
	switch (next) {
	case RT_IP4:
		rt_ip4(ctx, w);
		break;
	case RT_IP6:
		rt_ip6(ctx, w);
		break;
	case RT_MPLS:
		rt_mpls(ctx, w);
		break;
	case RT_PPPOE:
		rt_pppoe(ctx, w);
		break;
	case RT_GRE:
		rt_gre(ctx, w);
		break;
	case RT_VXLAN:
		rt_vxlan(ctx, w);
		break;
	case RT_GENEVE:
		rt_geneve(ctx, w);
		break;
	case RT_GTPU:
		rt_gtpu(ctx, w);
		break;
	}
	if (w->next == RT_ETHER)
		rt_ether(ctx, w, 0, false);
}

#endif
