/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IPv4, IPv6 with its extension headers, and what follows them: ports, flags, echo ids (src/packet/ip.rs, l4.rs). Part
 * of parse.h, which includes it.
 */
#ifndef RETROTAP_IP_H
#define RETROTAP_IP_H

/* IP protocols that mean something here. */
enum {
	RT_ICMP = 1,
	RT_TCP = 6,
	RT_UDP = 17,
	RT_DCCP = 33,
	RT_FRAGMENT = 44,
	RT_AH = 51,
	RT_ICMP6 = 58,
	RT_SCTP = 132,
	RT_UDP_LITE = 136,
};

struct rt_ip4 {
	__u8 version_ihl, tos;
	__be16 len, id, frag;
	__u8 ttl, proto;
	__be16 sum;
	__u32 src, dst;
};

struct rt_ip6 {
	__u8 version, tc, flow[2];
	__be16 len;
	__u8 next, hops;
	__u64 src[2], dst[2];
};

struct rt_tcp {
	__be16 sport, dport;
	__be32 seq, ack;
	__u8 off, flags;
	__be16 window;
};

struct rt_ports {
	__be16 sport, dport;
};

struct rt_ext {
	__u8 next, len;
	__be16 offset; /* fragment header: offset << 3 | more */
	__be32 id;
};

struct rt_echo {
	__u8 type, code;
	__be16 sum, id, seq;
};

/* The tunnel that a protocol, or a UDP destination port, stands for. */
static __always_inline __u8 rt_tunnel(__u8 proto, __u16 dport)
{
	switch (proto) {
	case 4:
		return RT_IP4;
	case 41:
		return RT_IP6;
	case 47:
		return RT_GRE;
	case 137:
		return RT_MPLS;
	case RT_UDP:
		switch (dport) {
		case 4789:
			return RT_VXLAN;
		case 6081:
			return RT_GENEVE;
		case 2152:
			return RT_GTPU;
		}
	}
	return RT_DONE;
}

/* What follows IP, at off: ports, flags, echo id, or a tunnel. A fragment's tunnel is not followed. */
static __always_inline void rt_transport(RT_CTX *ctx, struct rt_walk *w)
{
	struct rt_ports ports = {};
	struct rt_echo echo;
	struct rt_tcp tcp;
	__u8 proto = w->proto;

	w->next = RT_DONE;
	if (w->fragment == RT_FRAG_LATER)
		return;
	if (proto == RT_TCP) {
		/* Ports need 4 bytes, the flags all of the fixed part up to the window. */
		if (RT_LOAD(ctx, w->off, &tcp)) {
			ports = (struct rt_ports){tcp.sport, tcp.dport};
			w->tcp_flags = tcp.flags;
		} else {
			RT_LOAD(ctx, w->off, &ports);
		}
	} else if (proto == RT_UDP || proto == RT_SCTP || proto == RT_DCCP || proto == RT_UDP_LITE) {
		RT_LOAD(ctx, w->off, &ports);
	} else if (proto == RT_ICMP || proto == RT_ICMP6) {
		if (RT_LOAD(ctx, w->off, &echo) &&
		    (proto == RT_ICMP ? echo.type == 0 || echo.type == 8 : echo.type == 128 || echo.type == 129))
			ports = (struct rt_ports){echo.id, echo.id};
	}
	w->sport = bpf_ntohs(ports.sport);
	w->dport = bpf_ntohs(ports.dport);
	if (w->fragment)
		return;
	w->next = rt_tunnel(proto, w->dport);
	if (proto == RT_UDP)
		w->off += 8;
}

/* An IP header was reached: it names the connection from now on. */
static __always_inline void rt_reached(struct rt_walk *w, __u8 version, __u8 proto)
{
	w->version = version;
	w->l3 = w->off;
	w->net = w->new_net;
	w->net_kind = w->new_net_kind;
	w->vlan[0] = w->new_vlan[0];
	w->vlan[1] = w->new_vlan[1];
	w->proto = proto;
	w->fragment = RT_FRAG_NONE;
	w->tcp_flags = 0;
	w->sport = w->dport = 0;
}

static __always_inline void rt_ip4(RT_CTX *ctx, struct rt_walk *w)
{
	struct rt_ip4 ip;
	__u16 frag;

	w->next = RT_DONE;
	if (!RT_LOAD(ctx, w->off, &ip) || ip.version_ihl >> 4 != 4 || (ip.version_ihl & 15) < 5)
		return;
	rt_reached(w, 4, ip.proto);
	w->src[0] = ip.src;
	w->dst[0] = ip.dst;
	frag = bpf_ntohs(ip.frag);
	if (frag & 0x3fff)
		w->fragment = frag & 0x1fff ? RT_FRAG_LATER : RT_FRAG_FIRST;
	w->off += (ip.version_ihl & 15) * 4;
	rt_transport(ctx, w);
}

static __always_inline bool rt_is_extension(__u8 proto)
{
	return proto == 0 || proto == 43 || proto == RT_FRAGMENT || proto == RT_AH || proto == 60 || proto == 135 ||
	       proto == 139 || proto == 140;
}

/* IPv6 up to its extension headers. */
static __always_inline void rt_ip6(RT_CTX *ctx, struct rt_walk *w)
{
	struct rt_ip6 ip;

	w->next = RT_DONE;
	if (!RT_LOAD(ctx, w->off, &ip) || ip.version >> 4 != 6)
		return;
	rt_reached(w, 6, ip.next);
	for (int i = 0; i < 2; i++) {
		w->src[i] = ip.src[i];
		w->dst[i] = ip.dst[i];
	}
	w->off += sizeof(ip);
	if (rt_is_extension(ip.next))
		w->next = RT_EXTENSIONS;
	else
		rt_transport(ctx, w);
}

/* Extension headers, and what follows them. */
static __always_inline void rt_extensions(RT_CTX *ctx, struct rt_walk *w)
{
	struct rt_ext ext;
	__u16 offset;

	for (int i = 0; i < RT_EXT_MAX; i++) {
		__u8 proto = w->proto;

		if (!rt_is_extension(proto) || !RT_LOAD(ctx, w->off, &ext))
			break;
		w->proto = ext.next;
		if (proto == RT_FRAGMENT) {
			/* Offset 0 with no more to come is no fragment (RFC 6946). */
			w->off += 8;
			offset = bpf_ntohs(ext.offset);
			w->fragment = offset & 0xfff8 ? RT_FRAG_LATER : offset & 1 ? RT_FRAG_FIRST : RT_FRAG_NONE;
			if (w->fragment == RT_FRAG_LATER)
				break;
		} else if (proto == RT_AH) {
			w->off += ext.len * 4 + 8;
		} else {
			w->off += ext.len * 8 + 8;
		}
	}
	rt_transport(ctx, w);
}

#endif
