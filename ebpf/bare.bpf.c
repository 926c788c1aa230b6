// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The least that an XDP program can do, alone and with an AF_XDP socket behind it; and a connection table as the kernel
 * offers it. What benches/ and `cargo xtask bench line` measure the cost of ours against. Never part of the recorder.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define QUEUES 64

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

SEC("xdp.frags")
int bare_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp.frags")
int bare_redirect(struct xdp_md *ctx)
{
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP);
}

/* As large as retrotap's own key and entry of an IPv4 connection. */
struct lru_key {
	__u64 word[3];
};
struct lru_entry {
	__u64 word[6];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct lru_key);
	__type(value, struct lru_entry);
} connections SEC(".maps");

__u64 lru_turn;
__u64 lru_connections; /* connection `mix(turn) % this`; 0: connection `turn`, each once */
__u64 lru_missed;

/* One packet of one connection: counted, or a new entry. */
SEC("xdp")
int lru_packet(struct xdp_md *ctx)
{
	struct lru_entry fresh = {}, *entry;
	struct lru_key key = {};
	__u64 z = ++lru_turn;

	if (lru_connections) {
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
		z = (z ^ (z >> 31)) % lru_connections + 1;
	}
	key.word[0] = z;
	entry = bpf_map_lookup_elem(&connections, &key);
	if (entry) {
		entry->word[0]++;
		entry->word[1] += 60;
		return XDP_DROP;
	}
	lru_missed++;
	fresh.word[0] = 1;
	bpf_map_update_elem(&connections, &key, &fresh, BPF_ANY);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
