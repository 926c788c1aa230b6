/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The look-up of a parsed packet in the shunt, and the hit: what the XDP program and the socket filter have in common
 * after parsing.
 */
#ifndef RETROTAP_SHUNT_H
#define RETROTAP_SHUNT_H

#include "key.h"

/* ---- for the test that compares this parser with src/packet/ -------------------------------------------------- */
const volatile __u8 rt_debug = 0; /* write down what was found */

struct rt_debug_found {
	struct rt_key6 key; /* version 4: the first sizeof(struct rt_key4) bytes */
	__u64 hash;
	__u8 version, fragment, tcp_flags, zero;
	__u16 l3, zero2;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rt_debug_found);
} debug_found SEC(".maps");

static __always_inline void rt_debug_note(const struct rt_walk *w, const union rt_key *key, __u64 hash)
{
	__u32 zero = 0;
	struct rt_debug_found *found = bpf_map_lookup_elem(&debug_found, &zero);

	if (!found)
		return;
	__builtin_memset(found, 0, sizeof(*found));
	if (w->version == 4)
		__builtin_memcpy(&found->key, &key->v4, sizeof(key->v4));
	else
		__builtin_memcpy(&found->key, &key->v6, sizeof(key->v6));
	found->hash = hash;
	found->version = w->version;
	found->fragment = w->fragment;
	found->tcp_flags = w->tcp_flags;
	found->l3 = w->l3;
}

/* ---- look-up and hit ------------------------------------------------------------------------------------------- */

/* True if the slot is that of the key. */
static __always_inline bool rt_shunt_is(const struct rt_shunt_slot *s, const union rt_key *key, bool wide)
{
	if (s->wide != wide || s->key[0] != key->words[0] || s->key[1] != key->words[1] || s->key[2] != key->words[2])
		return false;
	return !wide || (s->key[3] == key->words[3] && s->key[4] == key->words[4] && s->key[5] == key->words[5]);
}

/* The slot of a connection in the shunt, null if it is not there. */
static __always_inline struct rt_shunt_slot *rt_shunt_find(const struct rt_walk *w, const union rt_key *key, __u64 hash)
{
	__u32 at = (__u32)(hash >> 32) & rt_shunt_mask, tag = (__u32)hash;
	const struct rt_shunt_bucket *bucket;
	struct rt_shunt_slot *s;
	__u64 place = 0;

	if (rt_debug)
		rt_debug_note(w, key, hash);
	if (!rt_shunt_enabled)
		return 0;
	bucket = bpf_map_lookup_elem(&buckets, &at);
	if (!bucket)
		return 0;
#pragma unroll
	for (int i = 0; i < RT_SHUNT_PLACES; i++) {
		place = *(const volatile __u64 *)&bucket->place[i];
		if (place >> 32 == tag)
			break;
		place = 0;
	}
	/* No place: slot 2^32 - 1, which there is not. */
	at = (__u32)place - 1;
	s = bpf_map_lookup_elem(&slots, &at);
	return s && rt_shunt_is(s, key, w->version != 4) ? s : 0;
}

#define RT_TCP_CONTROL 0x07 /* FIN, SYN, RST */

/* True if this is one of a sampled connection's packets that go up. */
static __always_inline bool rt_shunt_drawn(struct rt_shunt_slot *s)
{
	__u32 sample = s->sample;

	return sample && (__sync_fetch_and_add(&s->hits, 1) + 1) % sample == 0;
}

/* True if the packet is to be dropped; it is counted then. Fragments, SYN, FIN and RST go up. The time is the coarse
 * one, a tick behind at most: a hit pays for no clock read. */
static __always_inline bool rt_shunt_hit(struct rt_shunt_slot *s, const struct rt_walk *w, __u64 bytes)
{
	__u32 state = s->state;

	if (state == RT_SHUNT_PASS || w->fragment || w->tcp_flags & RT_TCP_CONTROL)
		return false;
	if (state != RT_SHUNT_DROP && rt_shunt_drawn(s))
		return false;
	__sync_fetch_and_add(&s->packets, 1);
	__sync_fetch_and_add(&s->bytes, bytes);
	s->last = bpf_ktime_get_coarse_ns();
	return true;
}

#endif
