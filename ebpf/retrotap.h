/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one file that the kernel programs and Rust (src/bpf/abi.rs, src/packet/) share: sizes, layouts, parser bounds.
 * Both sides assert every size; a field that changes here changes there in the same commit.
 */
#ifndef RETROTAP_H
#define RETROTAP_H

/* ---- connection keys ------------------------------------------------------------------------------------------ */

/* What kind of connection a key names: the low bits of rt_tail.kind. */
enum rt_kind {
	RT_KIND_IP = 0,	    /* IP: addresses, proto, ports where the protocol has them (else 0) */
	RT_KIND_FRAG = 1,   /* IP, port-less: non-first fragments whose first fragment is not known */
	RT_KIND_ETHER = 2,  /* not IP: MAC pair and ethertype (in port[0] and port[1], host order, both alike) */
	RT_KIND_LLC = 3,    /* 802.3: MAC pair and DSAP<<8|SSAP (in port[0] and port[1], both alike) */
	RT_KIND_OPAQUE = 4, /* nothing understood (odd link types, runts): one connection an interface's link type */
};

/* Which tunnel's id is in rt_tail.net: the high bits of rt_tail.kind (kind | net << 4). */
enum rt_net {
	RT_NET_NONE = 0,
	RT_NET_VXLAN = 1,
	RT_NET_GENEVE = 2,
	RT_NET_GRE = 3,
};

/* Common to both keys; 16 bytes. Host byte order throughout. */
struct rt_tail {
	__u32 net; /* VNI or GRE key of the innermost tunnel that has one */
	/* VLAN ids (12 bits) of the innermost Ethernet header passed, outer first, | 0x8000 where present, else 0. Id 0
	 * (priority only) is no VLAN and not here. */
	__u16 vlan[2];
	__u16 port[2]; /* of addr[0], of addr[1] */
	__u8 proto;
	__u8 kind; /* enum rt_kind | enum rt_net << 4 */
	__u16 zero;
};

/* IPv4: 24 bytes. addr[] as on the wire (network byte order, loaded as bytes). Endpoint 0 is the lower of the two
 * by (address bytes, port): memcmp order of the address, then the port as a number. */
struct rt_key4 {
	__u8 addr[2][4];
	struct rt_tail t;
};

/* IPv6, and everything that is not IP (MAC in the first 6 bytes of addr, rest 0): 48 bytes. */
struct rt_key6 {
	__u8 addr[2][16];
	struct rt_tail t;
};

_Static_assert(sizeof(struct rt_tail) == 16, "rt_tail");
_Static_assert(sizeof(struct rt_key4) == 24, "rt_key4");
_Static_assert(sizeof(struct rt_key6) == 48, "rt_key6");

/* ---- parser bounds (src/packet/ uses the same) ---------------------------------------------------------------- */
/* Tags of one Ethernet header that are read; a third makes the packet non-IP (its ethertype). */
#define RT_VLANS_MAX 2
/* Labels of one stack. */
#define RT_MPLS_MAX 6
/* IPv6 extension headers of one IPv6 header. */
#define RT_EXT_MAX 8
/* IP headers and tunnel headers together; what lies deeper belongs to the last IP layer reached. */
#define RT_LAYERS_MAX 6
/* Header bytes looked at: what would end past them is not understood. */
#define RT_PARSE_BYTES 512

/* ---- metadata in front of each redirected frame (xdp->data_meta); 16 bytes ----------------------------------
 * Where a driver has no room for metadata the frame is redirected without. So user space sets `time` to 0 when it gives
 * a frame back to the fill ring (fresh memory is 0 anyway), and takes `time` 0 as: no metadata, ask the clock and
 * parse. */
struct rt_meta {
	__u64 time;  /* CLOCK_MONOTONIC, ns */
	__u32 hash;  /* low half of the flow hash (key.h, src/packet/hash.rs): owner = hash % workers */
	__u16 l3;    /* offset of the innermost IP header, 0 if none */
	__u16 flags; /* enum rt_meta_flag */
};
_Static_assert(sizeof(struct rt_meta) == 16, "rt_meta");

enum rt_meta_flag {
	RT_META_V6 = 1, /* key is a rt_key6 */
	RT_META_FRAG = 2,
	RT_META_PASSING = 4, /* was found in the shunt and sent up all the same (fragment, SYN/FIN/RST, retiring) */
};

#define RT_HASH_WORDS 6 /* keys of the flow hash: one for each 8 bytes of the larger connection key */

/* ---- shunt: connections past their cutoff -------------------------------------------------------------------
 * A hash table in two arrays that the workers have mapped: buckets of places, and slots with key and counts. Workers
 * put in, take out and read counts without a system call; a look-up touches two cache lines, three for a rt_key6. */
#define RT_SHUNT_PLACES 8 /* of a bucket */

/* A place is 0 or tag << 32 | slot + 1. Bucket: high half of the flow hash modulo their number, a power of two; tag:
 * the low half. Workers take a free place by compare-and-swap, never two of one tag in a bucket. */
struct rt_shunt_bucket {
	__u64 place[RT_SHUNT_PLACES];
};
_Static_assert(sizeof(struct rt_shunt_bucket) == 64, "one bucket, one cache line");

struct rt_shunt_slot {
	__u64 packets;		  /* written by the kernel (atomic add) */
	__u64 bytes;		  /* frame length on the wire */
	__u64 last;		  /* CLOCK_MONOTONIC ns of the last hit, coarse: up to a tick behind */
	__u32 state;		  /* enum rt_shunt_state; written by user space, as all below */
	__u32 wide;		  /* the key is a rt_key6 */
	__u64 key[RT_HASH_WORDS]; /* the words of the key, which do not change while a place points here */
	__u32 sample;		  /* RT_SHUNT_SAMPLE: one packet in so many goes up */
	__u32 zero;
	__u64 hits;  /* RT_SHUNT_SAMPLE: packets so far (atomic add), those that went up included */
	__u64 taken; /* of those that went up, how many the worker has met; it alone reads and writes this */
	__u64 pad[3];
};
_Static_assert(sizeof(struct rt_shunt_slot) == 128, "all of an IPv4 slot in one cache line");

enum rt_shunt_state {
	RT_SHUNT_PASS = 0, /* free or retiring: look-ups count nothing, the packet goes up */
	RT_SHUNT_DROP = 1,
	RT_SHUNT_SAMPLE = 2, /* drop, but for one packet in `sample`, which goes up and is not counted here */
};

/* ---- counters: one per-CPU array element for each queue, at interface slot * RT_QUEUES_MAX + queue ------------
 * (the socket filter, which knows no queue: queue 0). */
struct rt_counts {
	__u64 seen; /* seen = shunted + redirected + passed */
	__u64 seen_bytes;
	__u64 shunted;
	__u64 shunted_bytes;
	__u64 redirected;
	__u64 redirected_bytes;
	__u64 passed; /* no socket on this queue: given to the host */
	__u64 passed_bytes;
	__u64 not_understood; /* part of redirected: the parser reached no connection */
};

/* Redirects that failed, by cause, from the tracepoint xdp_redirect_err: per-CPU, one element a queue. */
struct rt_redirect_failed {
	__u64 ring_full; /* -ENOBUFS: the RX ring is full */
	__u64 no_frame;	 /* -ENOMEM: the fill ring is empty */
	__u64 too_big;	 /* -ENOSPC, -EOVERFLOW: the frame does not fit a chunk and scatter-gather is off */
	__u64 unbound;	 /* -EINVAL, -ENXIO and all other: no bound socket */
};

#define RT_IFACES_MAX 8
#define RT_QUEUES_MAX 64 /* per interface; xsk map index = interface slot * RT_QUEUES_MAX + queue */

#endif
