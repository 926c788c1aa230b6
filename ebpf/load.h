/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The packets of the load generator: what the next packet of a connection is, and its bytes. examples/load/play.rs does
 * the same in user space; the two agree packet by packet. Included by load.bpf.c only.
 */
#ifndef RETROTAP_LOAD_H
#define RETROTAP_LOAD_H

#define FRAME_BYTES 1514 /* the frame that user space hands in; each packet is a prefix of it */
#define HEAD_BYTES  96	 /* written anew for each packet: headers, then zeros */

#define PROTO_TCP 6
#define PROTO_UDP 17
#define TCP_FIN	  0x01
#define TCP_SYN	  0x02
#define TCP_PSH	  0x08
#define TCP_ACK	  0x10

enum shape_flag {
	SHAPE_V6 = 1,
	SHAPE_UPLOAD = 2, /* the client sends the bulk */
};

/* A kind of connection; user space makes SHAPES of them, all alike probable. */
struct load_shape {
	__u32 packets; /* of both directions; TCP: 1 or 2 (a probe, unanswered or answered) or at least 7 */
	__u16 request; /* payload of the client's first data packet */
	__u16 data;    /* payload of every further one */
	__u16 last;    /* payload of the last one */
	__u16 port;    /* the server's */
	__u8 proto;
	__u8 flags;
	__u8 train; /* packets in a row when its turn comes */
	__u8 zero;
};

/* An active connection; user space fills all of them before the start. */
struct load_conn {
	__u64 serial; /* addresses and ports follow from it; never used twice */
	__u32 shape;
	__u32 step; /* packets made so far */
	__u32 seq[2];
	/* Written when the device took a packet. */
	__u64 bytes;
	__u64 packets;
	__u64 zero[3];
};

/* Internet checksum of frame[HEAD_BYTES..i]; set by user space. */
__u16 payload_sums[FRAME_BYTES + 6];

static __always_inline __u64 mix64(__u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* What one packet is. */
struct plan {
	__u32 payload;
	__u8 dir; /* 1: from the server */
	__u8 flags;
	__u8 control;
};

/* Packet `step` of a connection: handshake, request, then data with an acknowledgement after every two, then the end.
 */
static __always_inline void plan_packet(const struct load_shape *s, __u32 step, struct plan *p)
{
	__u32 bulk = s->flags & SHAPE_UPLOAD ? 0 : 1, first = 0, last = s->packets - 1;

	p->flags = TCP_ACK;
	p->control = 0;
	p->payload = 0;
	p->dir = 0;
	if (s->proto == PROTO_TCP) {
		if (step < 3) { /* SYN, SYN ACK, ACK */
			p->dir = step == 1;
			p->flags = step == 0 ? TCP_SYN : step == 1 ? TCP_SYN | TCP_ACK : TCP_ACK;
			p->control = step < 2;
			return;
		}
		if (step + 3 >= s->packets) { /* FIN, FIN, ACK */
			p->dir = step + 2 == s->packets;
			p->flags = step + 1 == s->packets ? TCP_ACK : TCP_FIN | TCP_ACK;
			p->control = step + 1 != s->packets;
			return;
		}
		first = 3;
		last = s->packets - 4;
		p->flags = TCP_ACK | TCP_PSH;
	}
	step -= first;
	if (step == 0) {
		p->payload = s->request;
	} else if (step == last - first) {
		p->dir = bulk;
		p->payload = s->last;
	} else if (step % 3 == 0) {
		p->dir = !bulk;
		p->payload = s->proto == PROTO_UDP ? 33 : 0;
		p->flags = TCP_ACK;
	} else {
		p->dir = bulk;
		p->payload = s->data;
	}
}

static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Sum of n 32-bit words from a 2-byte aligned place. */
#define SUM32(at, n)                                                                                                   \
	({                                                                                                             \
		__u64 sum_ = 0;                                                                                        \
		_Pragma("unroll") for (int i_ = 0; i_ < (n); i_++) sum_ += ((const __u32 *)(at))[i_];                  \
		sum_;                                                                                                  \
	})

#define PUT8(off, v)  (*(__u8 *)(frame + (off)) = (v))
#define PUT16(off, v) (*(__u16 *)(frame + (off)) = bpf_htons(v))
#define PUT32(off, v) (*(__u32 *)(frame + (off)) = bpf_htonl(v))

/* TCP or UDP at frame + off (a constant after inlining), checksum included; returns the frame's length. */
static __always_inline __u32 put_l4(__u8 *frame, const __u32 off, const struct load_shape *s, const struct load_conn *c,
				    const struct plan *p, __u16 client_port, __u64 pseudo)
{
	__u16 sport = p->dir ? s->port : client_port, dport = p->dir ? client_port : s->port;
	__u32 bytes, len, sum;

	PUT16(off, sport);
	PUT16(off + 2, dport);
	if (s->proto == PROTO_TCP) {
		bytes = 32 + p->payload;
		PUT32(off + 4, c->seq[p->dir & 1]);
		PUT32(off + 8, p->flags & TCP_ACK ? c->seq[(p->dir & 1) ^ 1] : 0);
		PUT8(off + 12, 8 << 4);
		PUT8(off + 13, p->flags);
		PUT16(off + 14, 65535);
		PUT32(off + 20, 0x0101080a); /* NOP, NOP, timestamps */
		PUT32(off + 24, c->step + 1);
		PUT32(off + 28, p->flags & TCP_ACK ? c->step : 0);
	} else {
		bytes = 8 + p->payload;
		PUT16(off + 4, bytes);
	}
	len = off + bytes;
	if (len > FRAME_BYTES)
		len = FRAME_BYTES;
	sum = fold(pseudo + bpf_htons(s->proto) + bpf_htons(bytes) + SUM32(frame + off, 8) + payload_sums[len]);
	sum = ~sum & 0xffff;
	if (s->proto == PROTO_TCP)
		*(__u16 *)(frame + off + 16) = sum;
	else
		*(__u16 *)(frame + off + 6) = sum ? sum : 0xffff;
	return len;
}

/* Writes the packet; returns its length. Addresses: clients in 10.0.0.0/8 and 2001:db8::/64, servers in 198.18.0.0/15
 * and 2001:db8:1::/64 (most connections go to few of them). 1024 clients at a time; a client's port rises. */
static __always_inline __u32 put_packet(__u8 *frame, const struct load_shape *s, const struct load_conn *c,
					const struct plan *p)
{
	__u64 h = mix64(c->serial), turn = (c->serial >> 10) / 64000;
	__u16 client_port = 1024 + (c->serial >> 10) % 64000;
	__u32 client = (c->serial & 1023) + (turn << 10);
	__u32 a = h & 0x1ffff, b = (h >> 17) & 0x1ffff, d = (h >> 34) & 0x1ffff;
	__u32 server = a < b ? a : b, len;

	if (d < server)
		server = d;
#pragma unroll
	for (int i = 0; i < HEAD_BYTES / 4; i++)
		*(__u32 *)(frame + 4 * i) = 0;
	PUT8(0, 2);
	PUT8(5, p->dir ? 2 : 1);
	PUT8(6, 2);
	PUT8(11, p->dir ? 1 : 2);
	if (s->flags & SHAPE_V6) {
		PUT16(12, ETH_P_IPV6);
		PUT32(14, 0x60000000);
		PUT16(18, p->payload + (s->proto == PROTO_TCP ? 32 : 8));
		PUT8(20, s->proto);
		PUT8(21, 64);
		PUT32(p->dir ? 38 : 22, 0x20010db8);
		PUT32(p->dir ? 50 : 34, client + 1);
		PUT32(p->dir ? 22 : 38, 0x20010db8);
		PUT32(p->dir ? 26 : 42, 0x00010000);
		PUT32(p->dir ? 34 : 50, server + 1);
		return put_l4(frame, 54, s, c, p, client_port, SUM32(frame + 22, 8));
	}
	PUT16(12, ETH_P_IP);
	PUT8(14, 0x45);
	PUT16(16, 20 + p->payload + (s->proto == PROTO_TCP ? 32 : 8));
	PUT16(18, c->step);
	PUT16(20, 0x4000); /* don't fragment */
	PUT8(22, 64);
	PUT8(23, s->proto);
	PUT32(p->dir ? 30 : 26, 0x0a000000 + (client & 0xffffff));
	PUT32(p->dir ? 26 : 30, 0xc6120000 + server);
	*(__u16 *)(frame + 24) = ~fold(SUM32(frame + 14, 5)) & 0xffff;
	len = put_l4(frame, 34, s, c, p, client_port, SUM32(frame + 26, 2));
	return len < ETH_ZLEN ? ETH_ZLEN : len;
}

#endif
