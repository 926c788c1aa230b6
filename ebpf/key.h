/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a finished walk to the connection's key and its hash (src/packet/key.rs, src/packet/hash.rs).
 */
#ifndef RETROTAP_KEY_H
#define RETROTAP_KEY_H

#include "maps.h"
#include "parse.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "keys are put together as little-endian words"
#endif

/* A key is written in whole words: the hash map reads it in words, and a read of several smaller writes would wait for
 * them to leave the store buffer. */
union rt_key {
	struct rt_key4 v4;
	struct rt_key6 v6;
	__u64 words[sizeof(struct rt_key6) / 8];
};

static __always_inline void rt_tail_of(__u64 *words, __u32 net, __u32 vlans, __u32 ports, __u8 proto, __u8 kind)
{
	words[0] = net | (__u64)(rt_vlan_in_key ? vlans : 0) << 32;
	words[1] = ports | (__u64)proto << 32 | (__u64)kind << 40;
}

/* Two 16-bit fields as they lie in memory. */
static __always_inline __u32 rt_pair(__u16 first, __u16 second)
{
	return first | (__u32)second << 16;
}

static __always_inline void rt_ip_tail(const struct rt_walk *w, __u64 *words, bool swap)
{
	__u8 kind = (w->fragment == RT_FRAG_LATER ? RT_KIND_FRAG : RT_KIND_IP) | w->net_kind << 4;
	__u32 ports = swap ? rt_pair(w->dport, w->sport) : rt_pair(w->sport, w->dport);

	rt_tail_of(words, w->net, rt_pair(w->vlan[0], w->vlan[1]), ports, w->proto, kind);
}

static __always_inline void rt_key4_of(const struct rt_walk *w, union rt_key *key)
{
	__u32 src = bpf_ntohl(w->src[0]), dst = bpf_ntohl(w->dst[0]);
	bool swap = src > dst || (src == dst && w->sport > w->dport);

	key->words[0] = swap ? w->dst[0] | (__u64)w->src[0] << 32 : w->src[0] | (__u64)w->dst[0] << 32;
	rt_ip_tail(w, key->words + 1, swap);
}

static __always_inline void rt_key6_of(const struct rt_walk *w, union rt_key *key)
{
	const __u64 *s = w->src, *d = w->dst;
	bool swap = w->sport > w->dport;

	if (s[0] != d[0])
		swap = __builtin_bswap64(s[0]) > __builtin_bswap64(d[0]);
	else if (s[1] != d[1])
		swap = __builtin_bswap64(s[1]) > __builtin_bswap64(d[1]);
	key->words[0] = swap ? d[0] : s[0];
	key->words[1] = swap ? d[1] : s[1];
	key->words[2] = swap ? s[0] : d[0];
	key->words[3] = swap ? s[1] : d[1];
	rt_ip_tail(w, key->words + 4, swap);
}

/* Not IP: the outermost Ethernet header's MAC pair and type. */
static __always_inline void rt_key_ether(RT_CTX *ctx, const struct rt_walk *w, union rt_key *key)
{
	struct {
		__be16 dst[3], src[3];
	} mac;
	__u64 src, dst;
	bool swap;

	RT_LOAD(ctx, 0, &mac);
	dst = mac.dst[0] | (__u64)mac.dst[1] << 16 | (__u64)mac.dst[2] << 32;
	src = mac.src[0] | (__u64)mac.src[1] << 16 | (__u64)mac.src[2] << 32;
	swap = __builtin_bswap64(src) > __builtin_bswap64(dst);
	key->words[0] = swap ? dst : src;
	key->words[1] = 0;
	key->words[2] = swap ? src : dst;
	key->words[3] = 0;
	rt_tail_of(key->words + 4, 0, rt_pair(w->outer_vlan[0], w->outer_vlan[1]), rt_pair(w->type, w->type), 0,
		   w->llc ? RT_KIND_LLC : RT_KIND_ETHER);
}

static __always_inline void rt_key_opaque(__u16 link_type, union rt_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	rt_tail_of(key->words + 4, 0, 0, rt_pair(link_type, link_type), 0, RT_KIND_OPAQUE);
}

/* The key of a parsed packet. Opaque, under the link type, if nothing was understood. */
static __always_inline void rt_key_of(RT_CTX *ctx, const struct rt_walk *w, bool understood, __u16 link_type,
				      union rt_key *key)
{
	if (w->version == 4)
		rt_key4_of(w, key);
	else if (w->version == 6)
		rt_key6_of(w, key);
	else if (understood)
		rt_key_ether(ctx, w, key);
	else
		rt_key_opaque(link_type, key);
}

/* NH (Black et al., UMAC, 1999): two keys collide with a chance of 2^-32 over the seeds, whatever an attacker picks;
 * the products do not wait for each other. */
static __always_inline __u64 rt_nh(const union rt_key *key, int from, int to)
{
	__u64 h = 0;

	for (int i = from; i < to; i++) {
		__u64 k = rt_hash_key[i], w = key->words[i];

		h += (__u64)((__u32)w + (__u32)k) * (__u64)((__u32)(w >> 32) + (__u32)(k >> 32));
	}
	return h;
}

/* The flow hash: NH, then Murmur3's finaliser, which spreads it over all bits. */
static __always_inline __u64 rt_hash(const struct rt_walk *w, const union rt_key *key)
{
	__u64 h = rt_nh(key, 0, sizeof(key->v4) / 8);

	if (w->version != 4)
		h += rt_nh(key, sizeof(key->v4) / 8, sizeof(key->v6) / 8);
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 33;
}

#endif
