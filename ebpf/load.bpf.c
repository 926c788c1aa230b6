// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The load generator: an XDP program that BPF_PROG_TEST_RUN runs with live frames. Each run writes the next packet of
 * one of the active connections, or of a trace, into a recycled frame and redirects it into one end of a veth, so that
 * it arrives at the native XDP of the peer. What kinds of connections there are (the mix) is a table that
 * examples/load/ fills.
 *
 * It keeps the truth: a packet counts as offered when the device took it (tracepoint xdp_devmap_xmit), and with it
 * what a cutoff must keep. Never part of the recorder.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include "load.h"

#define CONNS_MAX 65536
#define SHAPES	  4096
#define LOOP_STEP 40507	   /* coprime to 0xffff: 65535 loops until addresses repeat */
#define BEHIND_NS 50000000 /* further behind its schedule than this, the load lets the rest go */

struct load_tally {
	__u64 packets;
	__u64 bytes;
};

/* A packet on its way into a device. */
struct load_pending {
	__u32 conn;
	__u16 len;
	__u8 first;
	__u8 control; /* SYN, FIN */
};

#define NO_CONN 0xffffffff /* of a trace: nothing is known of it */

/* A frame of a trace. */
struct load_frame {
	__u64 gap_ns; /* until the next one is due */
	__u16 len;
	__u8 dir;
	__u8 addresses;
	__u16 at[6]; /* where there are addresses to rewrite: 4 bytes each, of IPv6 the last ones */
	__u8 data[1536];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct load_frame);
} trace SEC(".maps");

#define PENDING 64
struct load_port {
	struct load_pending pending[PENDING];
	__u32 head;
	__u32 tail;
};

/* ---- set by user space before the start ---- */
struct load_shape shapes[SHAPES];
struct load_conn conns[CONNS_MAX];
__u64 rng;
__u64 next_serial;
__u64 start_ns;
__u64 end_ns;
__u64 limit;  /* packets to attempt; 0: no limit */
__u64 pace;   /* ns a byte << 20; 0: not by bytes */
__u32 paced;  /* 0: as fast as it goes */
__u32 frames; /* of the trace */
/* Until warm_ns the load is paced by warm_pace; then `pace` and `paced` hold. 0: from the start. */
__u64 warm_ns;
__u64 warm_pace;
__u64 cutoff; /* bytes */
__u32 conns_mask;
__u32 ifindex[2]; /* where each direction goes */
__u32 netns;	  /* in this network namespace */

/* ---- the account ---- */
struct load_tally attempted;
struct load_tally offered;
struct load_tally refused; /* by the device: its ring was full */
struct load_tally failed;  /* not even queued: no such device, down, too long */
struct load_tally kept;	   /* what `cutoff` must keep of `offered` */
__u64 connections;	   /* of which a packet was offered */
__u64 begun;		   /* of which the first packet was offered */
struct load_tally warm;	   /* of `offered`: while it warmed up */
struct load_tally warm_kept;
__u64 warm_begun;
__u64 slipped_ns; /* by which the schedule was moved */
__u64 untold;	  /* transmissions that no pending packet explains; must stay 0 */

/* ---- own state ---- */
static struct load_port ports[2];
static __u64 due_ns;
static __u64 due_frac;
static __u32 current;
static __u32 train_left;
static __u32 clock_countdown;
static __u32 last_port;
static __u32 trace_next;
static __u64 trace_loop;

static __always_inline __u64 random64(void)
{
	rng += 0x9e3779b97f4a7c15ULL;
	return mix64(rng);
}

/* True when the next packet is due. Reads the clock for every packet while waiting, else for every sixteenth. */
static __always_inline int due(void)
{
	__u64 now;

	if (clock_countdown) {
		clock_countdown--;
		return 1;
	}
	now = bpf_ktime_get_ns();
	if (now >= end_ns || now < start_ns)
		return 0;
	if (!due_ns)
		due_ns = start_ns;
	if (warm_ns && now >= warm_ns) {
		warm_ns = 0;
		warm = offered;
		warm_kept = kept;
		warm_begun = begun;
		due_ns = now;
	}
	if ((paced || warm_ns) && due_ns > now)
		return 0;
	if ((paced || warm_ns) && now > due_ns + BEHIND_NS) {
		slipped_ns += now - due_ns - BEHIND_NS;
		due_ns = now - BEHIND_NS;
	}
	clock_countdown = 15;
	return 1;
}

static __always_inline struct load_conn *conn_at(__u32 i)
{
	return &conns[i & (CONNS_MAX - 1)];
}

/* What every packet goes through before it leaves: counted as attempted, its place in the schedule, pending. */
static __always_inline void book(__u32 conn, __u32 len, __u32 dir, int first, int control)
{
	struct load_pending *pending;
	struct load_port *port;
	__u64 ns = warm_ns ? warm_pace : pace;

	attempted.packets++;
	attempted.bytes += len;
	if (ns) {
		due_frac += len * ns;
		due_ns += due_frac >> 20;
		due_frac &= (1 << 20) - 1;
	}
	last_port = dir & 1 && ifindex[0] != ifindex[1];
	port = &ports[last_port & 1];
	pending = &port->pending[port->tail++ & (PENDING - 1)];
	pending->conn = conn;
	pending->len = len;
	pending->first = first;
	pending->control = control;
}

/* Cuts the frame to its length and sends it. */
static __always_inline int leave(struct xdp_md *ctx, __u32 len)
{
	if (len < FRAME_BYTES && bpf_xdp_adjust_tail(ctx, (int)len - FRAME_BYTES)) {
		ports[last_port & 1].tail--;
		failed.packets++;
		failed.bytes += len;
		return XDP_DROP;
	}
	return bpf_redirect(ifindex[last_port & 1], 0);
}

SEC("xdp")
int load(struct xdp_md *ctx)
{
	__u8 *frame = (__u8 *)(long)ctx->data;
	const struct load_shape *s;
	struct load_conn *c;
	struct plan p;
	__u32 len, step;

	if (frame + FRAME_BYTES > (__u8 *)(long)ctx->data_end || (limit && attempted.packets >= limit) || !due())
		return XDP_DROP;

	if (!train_left) {
		current = random64() & conns_mask;
		train_left = shapes[conn_at(current)->shape & (SHAPES - 1)].train;
	}
	if (train_left)
		train_left--;
	c = conn_at(current);
	s = &shapes[c->shape & (SHAPES - 1)];
	step = c->step;
	plan_packet(s, step, &p);
	len = put_packet(frame, s, c, &p);

	book(current, len, p.dir, step == 0, p.control);
	c->seq[p.dir & 1] += p.payload + p.control;
	if (step + 1 >= s->packets) { /* its last packet: a new connection takes the place */
		c->serial = next_serial++;
		c->shape = random64() & (SHAPES - 1);
		c->step = 0;
		c->seq[0] = c->serial * 2654435761u;
		c->seq[1] = c->seq[0] ^ 0x5bd1e995;
		train_left = 0;
	} else {
		c->step = step + 1;
	}
	return leave(ctx, len);
}

/* An address of the trace as it is in the loop: its two halves, one more and the other less by the same in ones'
 * complement, so that every checksum stays right, and which end of the connection it is does not matter. (0 and 0xffff
 * are one number there.) */
static __always_inline void rewrite(__u16 *address, __u32 k)
{
	__u32 high = address[0] + k, low = address[1] + 0xffff - k;

	address[0] = high + (high >> 16);
	address[1] = low + (low >> 16);
}

/* The next frame of a trace. */
SEC("xdp")
int replay(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	struct load_frame *f;
	__u32 len, k;

	if (data + FRAME_BYTES > (__u8 *)(long)ctx->data_end || (limit && attempted.packets >= limit) || !due())
		return XDP_DROP;
	f = bpf_map_lookup_elem(&trace, &trace_next);
	if (!f)
		return XDP_DROP;
	len = f->len;
	if (len < ETH_ZLEN || len > FRAME_BYTES || bpf_xdp_store_bytes(ctx, 0, f->data, len))
		return XDP_DROP;
	data = (__u8 *)(long)ctx->data;
	if (data + FRAME_BYTES > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	k = trace_loop * LOOP_STEP % 0xffff;
	if (k) {
#pragma unroll
		for (int i = 0; i < 6; i++) {
			__u32 at = f->at[i];
			__u8 *address = data + at;

			if (i < f->addresses && at <= FRAME_BYTES - 4 && address + 4 <= (__u8 *)(long)ctx->data_end)
				rewrite((__u16 *)address, k);
		}
	}
	book(NO_CONN, len, f->dir, 0, 0);
	if (paced && !pace && !warm_ns)
		due_ns += f->gap_ns;
	if (++trace_next >= frames) {
		trace_next = 0;
		trace_loop++;
	}
	return leave(ctx, len);
}

static __always_inline void settle(struct load_port *port, int took)
{
	struct load_pending *w = &port->pending[port->head++ & (PENDING - 1)];
	struct load_conn *c = conn_at(w->conn);

	if (w->first) {
		c->bytes = 0;
		c->packets = 0;
	}
	if (!took) {
		refused.packets++;
		refused.bytes += w->len;
		return;
	}
	offered.packets++;
	offered.bytes += w->len;
	if (w->conn == NO_CONN)
		return;
	begun += w->first;
	if (c->bytes < cutoff || w->control) {
		kept.packets++;
		kept.bytes += w->len;
	}
	if (!c->packets)
		connections++;
	c->packets++;
	c->bytes += w->len;
}

struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));
struct net {
	struct ns_common ns;
} __attribute__((preserve_access_index));
typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;
struct net_device {
	int ifindex;
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

/* Indexes of interfaces repeat in other namespaces, where other loads may run. */
static __always_inline int is_ours(const struct net_device *dev)
{
	return dev->nd_net.net->ns.inum == netns;
}

/* The device took `sent` packets and refused the `drops` behind them. Packets are pending only within a batch, which
 * nothing else on this CPU interrupts: what other programs transmit finds none. */
SEC("tp_btf/xdp_devmap_xmit")
int BPF_PROG(transmitted, const struct net_device *from, const struct net_device *to, __u32 sent, __u32 drops)
{
	__u32 index = to->ifindex, queued;
	struct load_port *port;

	if (!is_ours(to))
		return 0;
	if (index == ifindex[0])
		port = &ports[0];
	else if (index == ifindex[1])
		port = &ports[1];
	else
		return 0;
	queued = port->tail - port->head;
	if (!queued)
		return 0;
	if (sent > queued || drops > queued - sent) {
		untold++;
		return 0;
	}
	for (__u32 i = 0; i < PENDING && i < sent + drops; i++)
		settle(port, i < sent);
	return 0;
}

/* The redirect of the packet made last was refused before it was queued. */
SEC("tp_btf/xdp_redirect_err")
int BPF_PROG(not_queued, const struct net_device *from)
{
	struct load_port *port = &ports[last_port & 1];

	if (!is_ours(from) || port->tail == port->head)
		return 0;
	port->tail--;
	failed.packets++;
	failed.bytes += port->pending[port->tail & (PENDING - 1)].len;
	return 0;
}

/* A veth accepts redirected frames when it has a program itself, and delivers them when its peer has one. */
SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* The ceiling and the check of the account: a receiver that only counts. */
struct load_tally sunk;
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&sunk.packets, 1);
	__sync_fetch_and_add(&sunk.bytes, ctx->data_end - ctx->data);
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
