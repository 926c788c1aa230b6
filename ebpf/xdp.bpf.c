// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The XDP program of a tap port: parse, look up the shunt; a hit is counted and dropped, all else goes to the AF_XDP
 * socket of its queue with metadata in front. Every packet ends in one of shunted, redirected, passed.
 */
#include "maps.h"

#define RT_CTX struct xdp_md

/* Direct access where the bytes are in the first buffer, else the helper, into memory of its own: *dst stays in
 * registers. The barriers keep the compiler from checking one copy of a value and using another, which the verifier
 * would refuse. */
#define RT_LOAD(ctx, off, dst)                                                                                         \
	({                                                                                                             \
		__u64 _off = (off);                                                                                    \
		void *_p = 0;                                                                                          \
		bool _ok;                                                                                              \
		asm volatile("" : "+r"(_off));                                                                         \
		_ok = _off <= RT_PARSE_BYTES - sizeof(*(dst));                                                         \
		if (_ok) {                                                                                             \
			_p = (void *)(long)(ctx)->data + _off;                                                         \
			asm volatile("" : "+r"(_p));                                                                   \
		}                                                                                                      \
		if (_ok && _p + sizeof(*(dst)) <= (void *)(long)(ctx)->data_end) {                                     \
			*(dst) = *(typeof(dst))_p;                                                                     \
		} else {                                                                                               \
			typeof(*(dst)) _far;                                                                           \
			__builtin_memset(&_far, 0, sizeof(_far));                                                      \
			_ok = _ok && !bpf_xdp_load_bytes(ctx, _off, &_far, sizeof(_far));                              \
			*(dst) = _far;                                                                                 \
		}                                                                                                      \
		_ok;                                                                                                   \
	})

#include "parse.h"
#include "shunt.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, RT_IFACES_MAX *RT_QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xsks SEC(".maps");

/* Puts the metadata in front of the frame; where the driver has no room there is none. */
static __always_inline void rt_put_meta(struct xdp_md *ctx, struct rt_meta m)
{
	struct rt_meta *to;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(m)))
		return;
	to = (void *)(long)ctx->data_meta;
	if ((void *)(to + 1) <= (void *)(long)ctx->data)
		*to = m;
}

SEC("xdp.frags")
int retrotap_xdp(struct xdp_md *ctx)
{
	__u64 bytes = bpf_xdp_get_buff_len(ctx);
	__u32 iface = rt_iface_slot(ctx->ingress_ifindex), queue = ctx->rx_queue_index;
	__u32 port = iface * RT_QUEUES_MAX + (queue < RT_QUEUES_MAX ? queue : RT_QUEUES_MAX - 1);
	struct rt_counts *count = bpf_map_lookup_elem(&counts, &port);
	struct rt_meta meta = {};
	struct rt_walk w = {};
	union rt_key key;
	bool understood;
	struct rt_shunt_slot *slot;
	__u64 hash;
	int verdict;

	/* Not one of our interfaces: attached by hand. */
	if (!count)
		return XDP_PASS;
	count->seen++;
	count->seen_bytes += bytes;

	understood = rt_parse_ether(ctx, &w, 0);
	rt_key_of(ctx, &w, understood, RT_LINKTYPE_ETHERNET, &key);
	hash = rt_hash(&w, &key);
	slot = understood ? rt_shunt_find(&w, &key, hash) : 0;
	if (slot) {
		if (rt_shunt_hit(slot, &w, bytes)) {
			count->shunted++;
			count->shunted_bytes += bytes;
			return XDP_DROP;
		}
		meta.flags |= RT_META_PASSING;
	}

	meta.time = bpf_ktime_get_ns();
	meta.hash = hash;
	meta.l3 = w.l3;
	if (w.version != 4)
		meta.flags |= RT_META_V6;
	if (w.fragment)
		meta.flags |= RT_META_FRAG;
	rt_put_meta(ctx, meta);

	/* Queues past the last that has a place share its counters and go to the host. */
	verdict = queue < RT_QUEUES_MAX ? bpf_redirect_map(&xsks, port, XDP_PASS) : XDP_PASS;
	if (verdict == XDP_REDIRECT) {
		count->redirected++;
		count->redirected_bytes += bytes;
		count->not_understood += !understood;
	} else {
		count->passed++;
		count->passed_bytes += bytes;
	}
	return verdict;
}

/*
 * What is attached while all is made ready: a driver binds zero-copy sockets only under a program, and a link's program
 * is replaced at once. Packets go where they went before; nothing is recorded yet, so nothing is counted.
 */
SEC("xdp.frags")
int retrotap_wait(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
