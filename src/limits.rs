//! Every bound of the system in one place, with the relations between them checked at compile time. Read by all stages;
//! depends on nothing and must never hold state.

/// Packets of one batch through the worker's step.
pub const BATCH_PACKETS: usize = 64;
/// Snap length written in every interface description: libpcap refuses a file whose interfaces differ in it.
pub const SNAPLEN: u32 = 262_144;
/// The unit of writing: header, packets, statistics and trailer together.
pub const BLOCK_BYTES: usize = 1 << 20;
/// O_DIRECT granularity: offsets and lengths of writes are multiples of this.
pub const SECTOR_BYTES: usize = 4096;
/// Bytes covered by one CRC32C in a block's trailer.
pub const STRIPE_BYTES: usize = 64 << 10;
/// Bytes covered by one CRC32C in an index's table of blocks: the least that a query reads of a block.
pub const PIECE_BYTES: usize = 16 << 10;
/// Largest padding block that common pcapng readers accept.
pub const PAD_BYTES_MAX: usize = 64 << 10;
/// Preallocated size of a segment unless configured.
pub const SEGMENT_BYTES: u64 = 128 << 20;
/// Smallest segment that the configuration accepts.
pub const SEGMENT_BYTES_MIN: u64 = 4 << 20;
/// An open block is written after this time even if it is not full.
pub const FLUSH_NS: u64 = 100_000_000;
/// fdatasync at least this often while data is written.
pub const SYNC_NS: u64 = 1_000_000_000;
/// An open segment is sealed when it is this old.
pub const SEAL_AGE_NS: u64 = 60_000_000_000;
/// Interfaces of one recorder (RT_IFACES_MAX of ebpf/retrotap.h).
pub const IFACES_MAX: usize = 8;
/// Queues of one interface (RT_QUEUES_MAX).
pub const QUEUES_MAX: usize = 64;
/// Interfaces of all imported files together, and of one pcapng section.
pub const IFACES_FILE_MAX: usize = 4096;
/// The file source's only buffer.
pub const FILE_WINDOW_BYTES: usize = 1 << 20;
/// Options of one packet block of a pcapng file that are kept: a comment of the greatest length and others.
pub const PACKET_OPTIONS_MAX: usize = 68 << 10;
/// Options of one interface's description, or of one section's header, that are kept.
pub const INTERFACE_OPTIONS_MAX: usize = 8 << 10;
/// Such options of all interfaces of one segment; more go to another segment.
pub const SEGMENT_OPTIONS_MAX: usize = 96 << 10;
/// Decryption secrets of one section that are kept: each segment of its packets has them.
pub const SECRETS_MAX: usize = 288 << 10;
/// The same of name resolution.
pub const NAMES_MAX: usize = 96 << 10;
/// So many blocks behind the last packet of a file are looked at.
pub const BEHIND_BLOCKS_MAX: usize = 64;
/// Secrets that come among the packets take effect so often in a section, each time in new segments.
pub const SECRETS_RENEWED_MAX: u32 = 64;
/// Faults of one file that are named; more are only counted.
pub const FILE_FAULTS_MAX: usize = 8;
/// Entries of the ledger that wait for a disk that refuses them.
pub const ENTRIES_WAITING: usize = 4096;
/// Memory of each worker's blocks unless configured: as much as its rings, so that the disk may pause as long as the worker.
pub const BUFFERS_BYTES: u64 = 256 << 20;
/// The same where packets come from files.
pub const BUFFERS_FILES_BYTES: u64 = 64 << 20;
/// Tracked IPv4 connections unless configured, all workers together.
pub const CONNECTIONS_IPV4: usize = 1_000_000;
/// Tracked connections of IPv6 and what is not IP unless configured.
pub const CONNECTIONS_IPV6: usize = 250_000;
/// The same at a wire: 22 thousand new connections/s (10 Gbps of the lab mix) that are kept for up to 300 s after their last packet.
pub const CONNECTIONS_LIVE_IPV4: usize = 4_000_000;
/// The same at a wire.
pub const CONNECTIONS_LIVE_IPV6: usize = 1_000_000;
/// Frames of one worker's AF_XDP rings unless configured: at 300 thousand packets/s more than 400 ms.
pub const FRAMES: u32 = 131_072;
/// Bytes of a frame unless configured; 256 of them are the kernel's.
pub const FRAME_BYTES: u32 = 2048;
/// Largest frame.
pub const FRAME_BYTES_MAX: u32 = 4096;
/// An interface or queue that is still held, by a recorder that has just died, is tried again for this long: the kernel
/// lets go of it a little later.
pub const BUSY_NS: u64 = 1_000_000_000;
/// Places of the shunt unless configured, all workers together.
pub const SHUNT_SLOTS: u32 = 65_536;
/// CPUs that a set of them can name.
pub const CPUS_MAX: usize = 1024;
/// Workers of one recorder.
pub const WORKERS_MAX: usize = 64;
/// Storage classes.
pub const CLASSES_MAX: usize = 64;
/// Within this time a copy of a frame is a duplicate, unless configured ...
pub const DEDUP_NS: u64 = 10_000_000;
/// ... and at most this: what is further apart was sent twice.
pub const DEDUP_NS_MAX: u64 = 1_000_000_000;
/// Frames that one worker remembers to find duplicates: 16 bytes each.
pub const DEDUP_FRAMES: usize = 1 << 16;
/// What the disk has must be this old before it says how much past a budget will hold.
pub const OUTLOOK_NS: u64 = 60_000_000_000;
/// The least `max_age` of a class: a segment is written for up to a minute.
pub const MAX_AGE_NS_MIN: u64 = 120_000_000_000;
/// The least `snaplen` of a class: link, IP and transport headers without options.
pub const CLASS_SNAPLEN_MIN: u32 = 64;
/// Past the cutoff of a sampled class one packet in so many is stored, at most.
pub const SAMPLE_MAX: u32 = 1_000_000;
/// VLAN tags of one Ethernet header that are read (RT_VLANS_MAX).
pub const VLANS_MAX: usize = 2;
/// MPLS labels of one stack (RT_MPLS_MAX).
pub const MPLS_MAX: usize = 6;
/// IPv6 extension headers of one IPv6 header (RT_EXT_MAX).
pub const EXT_MAX: usize = 8;
/// IP and tunnel headers of one packet (RT_LAYERS_MAX).
pub const LAYERS_MAX: usize = 6;
/// Header bytes that the parsers look at (RT_PARSE_BYTES).
pub const PARSE_BYTES: usize = 512;
/// Past the cutoff this many SYN, FIN and RST of a connection are still stored.
pub const CONTROL_PACKETS_MAX: u8 = 16;
/// A first fragment is remembered this long for the fragments that follow it.
pub const FRAGMENT_NS: u64 = 30_000_000_000;
/// First fragments of datagrams that a query knows at least.
pub const DATAGRAMS_KNOWN: usize = 1 << 18;
/// After its end a connection lingers this long: packets count on.
pub const LINGER_NS: u64 = 30_000_000_000;
/// After this silence a SYN with a new sequence number starts a new connection.
pub const SYN_SILENCE_NS: u64 = 60_000_000_000;
/// Longest filter expression that is compiled.
pub const FILTER_BYTES_MAX: usize = 64 << 10;
/// So many addresses, networks and ports that are joined by `or` are a list, of which libpcap compiles an example only: of fewer it makes a
/// program in milliseconds, and there its answer is taken to the bit.
pub const FILTER_LIST_MIN: usize = 64;
/// Lists of one expression: each kind of entry is one, and there are 160 lengths of networks.
pub const FILTER_LISTS_MAX: usize = 255;
/// A filter is compiled within this processor time, in a process of its own, ...
pub const FILTER_CPU_SECONDS: u64 = 2;
/// ... this memory, ...
pub const FILTER_MEMORY_BYTES: u64 = 256 << 20;
/// ... this stack, ...
pub const FILTER_STACK_BYTES: usize = 64 << 20;
/// ... and in any case within this time.
pub const FILTER_WAIT: std::time::Duration = std::time::Duration::from_secs(30);
/// So many filters are compiled at the same time.
pub const FILTER_COMPILERS: usize = 4;
/// No compiled filter is longer: libpcap makes some instructions of 8 bytes for each term.
pub const FILTER_REPLY_MAX: usize = 4 << 20;
/// What is no longer than this can't take long, and commands compile it themselves.
pub const FILTER_SHORT_BYTES: usize = 256;
/// A filter with an error in it is searched for the place only up to this many words.
pub const FILTER_WORDS_LOCATED_MAX: usize = 128;
/// Share of the places of a connection table that are filled, in percent, when it holds as many as it was made for.
pub const TABLE_LOAD_PERCENT: usize = 96;
/// Connections of one size that one worker's table can be made for.
pub const CONNECTIONS_MAX: usize = 1 << 28;
/// One first fragment is remembered for so many connections of the table.
pub const CONNECTIONS_PER_FRAGMENT: usize = 128;
/// First fragments that are remembered at a time, at least.
pub const FRAGMENTS_MIN: usize = 64;
/// Packets that find the connection table full and are stored all the same, in one second and by one worker.
pub const UNTRACKED_PER_SECOND: u32 = 20_000;
/// Addresses and nets for which something can be ordered at a time.
pub const ORDERS_ADDRESSES: usize = 131_072;
/// Connections for which something can be ordered at a time.
pub const ORDERS_CONNECTIONS: usize = 16_384;
/// Places in which one-sided connections are counted by their source.
pub const FLOOD_PLACES: usize = 65_536;
/// Above a flood's limits one new connection in so many is tracked; a power of two.
pub const FLOOD_SAMPLE: u64 = 64;
/// Unless configured one source may have this part of the IPv4 table in one-sided connections open, at a wire ...
pub const FLOOD_TABLE_PART: usize = 40;
/// ... but so many in any case.
pub const FLOOD_LIMIT_MIN: usize = 10_000;
/// The least that can be configured: a busy host has more connections under way at any time.
pub const FLOOD_LIMIT_LEAST: usize = 100;
/// All one-sided connections together may take this much of a table.
pub const FLOOD_TABLE_PERCENT: usize = 75;
/// A flood is over when there was none for this long.
pub const FLOOD_CALM_NS: u64 = 10_000_000_000;
/// Longest list of assignments in one request.
pub const ORDERS_BYTES_MAX: usize = 32 << 20;
/// Orders that the log names when they end together; more are only counted.
pub const ORDERS_NAMED: usize = 16;
/// Longest message between capture and serve; what is longer goes as a file beside it.
pub const MESSAGE_BYTES: usize = 64 << 10;
/// Orders of one message: 16 KiB, half a round of a worker.
pub const ORDERS_OF_MESSAGE: usize = 256;
/// Of the name of who ordered something this much is kept: a token's has 64 bytes and a word before it.
pub const ORDERED_BY_BYTES: usize = 95;
/// Longest name of a class.
pub const CLASS_NAME_BYTES: usize = 32;
/// Connections of one message of a look-up: 28 KiB, as its answer has.
pub const LOOK_UPS_OF_MESSAGE: usize = 512;
/// So many of these are under way at a time: the answers of all of them have room in a socket's buffer of 208 KiB, whoever reads late.
pub const LOOK_UPS_UNDER_WAY: usize = 4;
/// Look-ups that wait in capture; those that serve does not wait for any more are among them.
pub const LOOK_UPS_WAITING: usize = 4 * LOOK_UPS_UNDER_WAY;
/// Longest document that capture sends to serve: all orders that there can be are 20 MiB.
pub const DOCUMENT_BYTES: usize = 32 << 20;
/// Serve waits so long for capture to take a message, or to answer one that does not wait for workers; a list is given so long in all.
pub const CAPTURE_ANSWERS: std::time::Duration = std::time::Duration::from_secs(10);
/// Where serve ends, orders of so long before are said in capture's log: their lines in the audit log may be lost.
pub const ORDERS_UNENTERED: std::time::Duration = std::time::Duration::from_secs(2);
/// Commands that wait for a worker, at most.
pub const COMMANDS_WAITING: usize = 8192;
/// Commands that a worker takes between two batches.
pub const COMMANDS_PER_ROUND: usize = 512;
/// Connections that a worker looks up for others between two batches.
pub const TOTALS_PER_ROUND: usize = 128;
/// Connections of one box of a look-up: what a worker does in some rounds.
pub const TOTALS_OF_BOX: usize = 16 * TOTALS_PER_ROUND;
/// A look-up takes no longer; of what was not asked by then it says that nobody knows.
pub const TOTALS_NS: u64 = 5_000_000_000;
/// Connections of one summary that are looked up.
pub const TOTALS_MAX: usize = 65_536;
/// Of one name's packets in an answer those are kept together that no longer silence parts, and of so many such spans the times are kept.
pub const SPAN_SILENCE_NS: u64 = 1_000_000_000;
/// See [`SPAN_SILENCE_NS`].
pub const SPANS_OF_NAME: usize = 64;
/// Connections whose totals are kept for the next who asks, and so many of one question.
pub const TOTALS_KEPT: usize = 4096;
/// See [`TOTALS_KEPT`].
pub const TOTALS_KEPT_OF_ONE: usize = 64;
/// Kept totals are good for this long where a worker can't be waited for.
pub const TOTALS_GOOD_NS: u64 = 1_000_000_000;
/// So many others that are wanted are asked for with those of a question.
pub const TOTALS_TOGETHER: usize = 1024;
/// Of questions that may not wait for a worker one in so long does.
pub const TOTALS_PAUSE_NS: u64 = 200_000_000;
/// A worker that has not answered is not asked for totals for so long.
pub const TOTALS_SILENT_NS: u64 = 10_000_000_000;
/// A worker that has not answered by then is taken for dead.
pub const ANSWER_NS: u64 = 2_000_000_000;
/// The walk over running connections goes all the way in this time ...
pub const WALK_NS: u64 = 400_000_000;
/// ... and over so many places at most between two batches.
pub const WALK_PLACES: usize = 32_768;
/// Retiring slots among which a look-up searches for a connection's.
pub const RETIRING_SEARCHED_MAX: usize = 1024;
/// Receipts that wait in a tracker at most.
pub const RECEIPTS_WAITING: usize = 8192;
/// The sweep goes once round the connection table in this time.
pub const SWEEP_ROUND_NS: u64 = 4_000_000_000;
/// A packet may be this much older than those before it and still find its connection.
pub const DISORDER_NS: u64 = 4_000_000_000;
/// Connections that last are given a receipt once in each such span of Unix time.
pub const HOUR_NS: u64 = 3_600_000_000_000;
/// A connection that found no place in the shunt tries again after this many seconds.
pub const SHUNT_RETRY_SECONDS: u32 = 2;
/// A shunted connection without a hit for this long gives its slot to another that needs it.
pub const SHUNT_COLD_NS: u64 = 2_000_000_000;
/// Cold connections of the shunt that the sweep keeps in mind.
pub const SHUNT_COLD_MAX: usize = 32;

/// Packets of one parcel between workers.
pub const PARCEL_PACKETS: usize = 256;
/// Bytes of one parcel; a packet of the largest snap length fits.
pub const PARCEL_BYTES: usize = 256 << 10;
/// Parcels in each worker's mailbox: full ones hold a quarter of a second of 150 thousand packets/s.
pub const PARCELS_PER_WORKER: usize = 160;
/// Connections of the metrics endpoint; when one more comes the oldest goes.
pub const METRICS_CONNECTIONS: usize = 16;
/// Longest request that it reads.
pub const METRICS_REQUEST_BYTES: usize = 8 << 10;
/// Time that a client has to ask, and to take the answer.
pub const METRICS_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
/// Receipts in one letter from a worker to the scribe.
pub const RECEIPTS_PER_LETTER: usize = 1024;
/// Letters of receipts of one worker, empty and full together.
pub const LETTERS_PER_WORKER: usize = 64;
/// Slots of the connection table that are swept after each batch, at least ...
pub const SWEEP_SLOTS: usize = 256;
/// ... and as many as go round the table in so many batches: 2,048 a second in [`SWEEP_ROUND_NS`].
pub const SWEEP_ROUNDS: usize = 8192;
/// The same when there are no packets.
pub const SWEEP_SLOTS_IDLE: usize = 4096;
/// The same when there are no packets: an idle worker comes by 200 times a second.
pub const SWEEP_ROUNDS_IDLE: usize = 512;
/// While packets come, a worker that has worked off what was there sleeps this long, where its rings allow it ...
pub const NAP_NS: u64 = 1_000_000;
/// ... that is, for each frame of the smallest ring so long: at 20 million packets/s a nap fills a quarter of it.
pub const NAP_FRAME_NS: u64 = 12;
/// After this long without a packet it sleeps until one wakes it up.
pub const NAPS_NS: u64 = 10_000_000;
/// An idle worker whose source allows no naps polls this long before it sleeps.
pub const SPIN_NS: u64 = 50_000;
/// An idle worker sleeps at most this long: others may hand packets to it, and blocks come of age.
pub const SLEEP_NS: u64 = 5_000_000;
/// Values of one kind (addresses, ports, labels, ...) that the index lists of one packet. A frame of 1,518 bytes has fewer, even with one in each four bytes that is met twice,
/// so what anybody sends over the Internet takes nothing from the index; of a longer one that is all labels its connection is looked at whenever labels are asked for.
pub const TERMS_OF_PACKET: usize = 1024;
/// The same in an index that is full: more than headers have that the parser follows.
pub const TERMS_CROWDED: usize = 64;
/// Values of one kind that the index lists of one connection: all ARP of a gateway is one, and a /16 behind it has half as many addresses.
pub const TERMS_OF_CONNECTION: usize = 1 << 17;
/// Values with their connections after which an index is full: [`TERM_BYTES`] each while it is made. A segment of the lab mix has a fifth of it.
pub const TERMS_OF_INDEX: usize = 2 << 20;
/// Memory that such a value takes: in the list of its connection, in the set of one that has many, and in the list of all.
pub const TERM_BYTES: usize = 128;
/// Memory of all lists of connections that are being made: they are held until they are sorted, at some 400 bytes each. One that finds no room is refused.
pub const LISTS_BYTES: u64 = 1 << 30;
/// Memory of one of them.
pub const LIST_BYTES: u64 = 768 << 20;
/// Memory for the connections that all other answers meet, and their receipts. Where it is at an end the answer says that it counts at least so many.
pub const COUNTS_BYTES: u64 = 512 << 20;
/// The same of one answer: some 400,000 connections.
pub const COUNT_BYTES: u64 = 256 << 20;
/// So much each answer has in any case, whatever others have: some 2,000 connections.
pub const COUNT_BYTES_SURE: u64 = 1 << 20;
/// Brackets within brackets, and `not` behind a keyword, that the planner follows; an expression with more is not pruned.
pub const FILTER_DEPTH_MAX: usize = 100;

/// Damaged places that a summary names; more are only counted.
pub const DAMAGE_NAMED: usize = 16;
/// Segments whose indexes a query looks into at a time, on as many threads: each is a chain of small reads.
pub const LOOKS: usize = 16;
/// Segments that are looked at together.
pub const LOOKS_AT_ONCE: usize = 32;
/// Blocks whose few candidates a query reads at a time, on as many threads.
pub const GATHERERS: usize = 32;
/// So many candidates of a segment are read with the look.
pub const GATHERED_PACKETS: usize = 256;
/// Of these not much more bytes.
pub const GATHERED_BYTES: usize = 1 << 20;
/// Blocks of one segment that are sifted before they are needed ...
pub const BLOCKS_AHEAD: usize = 8;
/// ... and of all segments of a query: of each its hits are held, a block's bytes at most ...
pub const BLOCKS_AHEAD_MAX: usize = 12;
/// ... by so many threads, each with a block's buffer: more than processors, since most of them wait for the disk.
pub const AHEAD_THREADS: usize = 4;

/// Frames of receipts that are looked into together: what is wanted of them is held until then ...
pub const FRAMES_SEARCHED: usize = 128;
/// ... on so many threads, at most.
pub const SEARCH_THREADS: usize = 4;
/// So few connections have their receipts looked for while their packets are read.
pub const FORESEEN_KEYS: usize = 256;
/// Files of receipts that a query has open at a time.
pub const RECEIPT_FILES_AT_ONCE: usize = 16;

/// Memory of recent packets unless configured: of interfaces; files are read from the disk again.
pub const RECENT_BYTES: u64 = 512 << 20;
/// The least that is worth it.
pub const RECENT_BYTES_MIN: u64 = 16 << 20;
/// Blocks that wait to be copied into memory, of all workers.
pub const INBOX_BLOCKS: usize = 256;
/// Pools of the memory of recent blocks: of each class that has its own, and of all others.
pub const POOLS_MAX: usize = CLASSES_MAX + 1;
/// Writers of one recording: a worker has one.
pub const WRITERS_MAX: usize = 256;
/// Unsealed segments of a store, of all workers, spare ones and those that an earlier recorder left included. Where all slots are taken no segment is made.
pub const SEGMENT_SLOTS: usize = 16_384;
/// As long as capture has given no sign of life for no longer than this, time is recorded.
pub const BEAT_NS: u64 = 1_000_000_000;
/// Blocks in memory that share one index, at most.
pub const RUN_BYTES: usize = 64 << 20;
/// So many neighbours become one.
pub const RUN_FAN: usize = 8;
/// Expressions of questions that are kept compiled.
pub const COMPILED_MAX: usize = 1024;
/// Times of a class that have expired, apart from each other, as the ledger knows them; of more the nearest become one.
pub const EXPIRED_RANGES: usize = 64;
/// Imports that did not read all of their files, as the ledger knows them: the latest.
pub const BROKEN_IMPORTS: usize = 64;
/// Times when a link was down that are told apart; of more the oldest of an interface become one.
pub const LINK_DOWN_HELD: usize = 4096;
/// What may be missing from an answer: so many reasons are listed, of more only their number.
pub const INCOMPLETE_LISTED: usize = 64;
/// A summary that goes as a header or a trailer: hyper's client takes 16 KiB of trailers.
pub const SUMMARY_BYTES: usize = 12 << 10;
/// Entries of losses that are held for queries; of older ones the files tell.
pub const LOSSES_HELD: usize = 16_384;
/// Bytes of the latest receipts that are held for queries; of older ones the files tell.
pub const RECEIPTS_HELD_BYTES: usize = 32 << 20;
/// Packets in the rings may be this much older than those that the writer has: followers wait for them so long.
pub const LATE_NS: u64 = 100_000_000;
/// A chunk of an answer goes over the socket after this time, however small it is.
pub const FIRST_CHUNK_NS: u64 = 2_000_000;
/// An answer that memory has is made at once, on the API's own threads, if that takes no more processor time than this,
pub const AT_ONCE_NS: u64 = 1_000_000;
/// looks at no more connections than these in one index,
pub const AT_ONCE_CANDIDATES: usize = 4096;
/// and has no more bytes than this.
pub const AT_ONCE_BYTES: usize = 256 << 10;
/// A pcapng answer has a place of so many bytes in its header for what it says of itself; a multiple of four.
pub const ANSWER_PLACE_BYTES: usize = 4000;
/// A manifest names so many segments that its packets come from, and says how many more there are.
pub const MANIFEST_SEGMENTS_MAX: usize = 10_000;
/// Longest manifest that is read.
pub const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// A cursor of a follower names so many segments: those that are being written, one for each class of each worker, and those that a round reads.
pub const CURSOR_SEGMENTS_MAX: usize = 2048;
/// Longest text of one: it goes with a question, which is no longer than [`ASK_BYTES_MAX`].
pub const CURSOR_TEXT_MAX: usize = 400 + CURSOR_SEGMENTS_MAX * 48;
/// A follower that gives nothing says where it stands this often: so much is looked through again where its connection breaks.
pub const CURSOR_EACH: std::time::Duration = std::time::Duration::from_secs(1);
/// The command line's follower keeps what came behind the last cursor, which is written when the next one comes: chunks of 256 KiB, and what names
/// and secrets of an imported capture may take.
pub const FOLLOW_PENDING: usize = 64 << 20;
/// A connection that lasted so long worked: where it breaks, the time for looking for the recorder begins anew.
pub const FOLLOW_STEADY: std::time::Duration = std::time::Duration::from_secs(5);
/// It waits so long before it looks for the recorder again, and each time that nobody answers twice as long, ...
pub const FOLLOW_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
/// ... and at most so long.
pub const FOLLOW_PAUSE_MAX: std::time::Duration = std::time::Duration::from_secs(1);
/// Memory of the packets that a follower holds back since older ones may come: a worker that stands still must not fill it.
pub const FOLLOW_HELD: usize = 64 << 20;
/// A follower looks for what has come this often.
pub const FOLLOW_NS: u64 = 20_000_000;
/// Holds that follow are given what has come this often.
pub const HOLD_FOLLOW: std::time::Duration = std::time::Duration::from_secs(1);
/// What comes is given to them this much later, so that what is late is among it.
pub const HOLD_LATE_NS: u64 = 1_000_000_000;
/// The last slices of a recording take no longer: the next recording goes on where they stood.
pub const HOLD_LAST_NS: u64 = 1_000_000_000;
/// Holds that follow, at most: each is looked after each second.
pub const HOLDS_FOLLOWING_MAX: usize = 256;
/// Whoever makes a hold waits no longer for another that is being made.
pub const HOLD_TURN: std::time::Duration = std::time::Duration::from_secs(30);
/// A directory that has changed less than this before it was listed may change again without its time showing it.
pub const STAMP_GRAIN: std::time::Duration = std::time::Duration::from_millis(50);
/// Followers at a time: each has a thread.
pub const FOLLOWERS_MAX: usize = 64;
/// Of these one user has so many at most.
pub const FOLLOWERS_PER_USER: usize = 32;
/// Longest request of the API, but for those that take lists; and longest expression in one.
pub const ASK_BYTES_MAX: usize = 256 << 10;
/// Addresses and networks that come beside an expression, together: some 40 MB of syntax tree while they are planned.
pub const ASK_ADDRESSES_MAX: usize = 100_000;
/// A question with such a list is no longer than this: an IPv6 address takes 42 bytes ...
pub const ASK_LONG_BYTES_MAX: usize = 8 << 20;
/// ... and so many questions that are longer than others may be are answered at the same time.
pub const ASKS_LONG: usize = 4;
/// A file of addresses or networks is no longer.
pub const ADDRESS_FILE_BYTES_MAX: u64 = 16 << 20;
/// Bytes of the audit log that wait for a disk that refuses them.
pub const AUDIT_BYTES_WAITING: usize = 4 << 20;
/// A longer question is entered in the audit log with its length and this much of its beginning.
pub const AUDIT_ASK_BYTES: usize = 16 << 10;
/// Connections to the API's socket: of root and the recorder's own user so many, and of all others together as many; who comes after is turned
/// away ...
pub const CLIENTS_MAX: usize = 1024;
/// ... and each of those others has at most so many.
pub const CLIENTS_PER_USER: usize = 256;
/// Connections over TCP whose token is known, all together ...
pub const CLIENTS_REMOTE_MAX: usize = 256;
/// ... and of one token.
pub const CLIENTS_REMOTE_PER_USER: usize = 64;
/// Connections over TCP that have not said yet who they are; when one more comes the one that has waited longest goes.
pub const STRANGERS_MAX: usize = 128;
/// Of these one address has so many: more are closed at once.
pub const STRANGERS_PER_ADDRESS: usize = 16;
/// When tokens were used last is written down this often.
pub const TOKEN_USE: std::time::Duration = std::time::Duration::from_secs(60);
/// TLS must be agreed on within this time ...
pub const TLS_HANDSHAKE: std::time::Duration = std::time::Duration::from_secs(5);
/// ... and a request's head must come within this, also the first one after it.
pub const REQUEST_HEAD: std::time::Duration = std::time::Duration::from_secs(10);
/// A connection of whose answers nothing is taken for so long is closed: longer than an answer that is not read goes on, so that its client can
/// still be told.
pub const WRITE_STALLED: std::time::Duration = std::time::Duration::from_secs(120);
/// Threads that speak to the API's clients, and answer at once what memory has.
pub const API_THREADS: usize = 2;
/// Threads that read for queries.
pub const QUERY_THREADS: usize = 16;
/// Beside them, so many may wait for clients who read slowly: each keeps some MiB of an answer.
pub const ANSWERS_STALLED: usize = 64;
/// An answer is ended when its client has taken nothing of it for so long: a pager that is looked at goes on, a connection that hangs does not ...
pub const READ_STALLED: std::time::Duration = std::time::Duration::from_secs(60);
/// ... and for so long where other questions wait for its thread.
pub const READ_CROWDED: std::time::Duration = std::time::Duration::from_secs(2);
/// Threads that answer `info` and `losses`: they read files, of the whole store.
pub const BOOKS_THREADS: usize = 2;
/// So many such questions wait ...
pub const BOOKS_WAITING: usize = 64;
/// ... and so many may one user have.
pub const BOOKS_PER_USER: usize = 4;
/// Threads that look at holds and let go of them: a few small files each.
pub const DESK_THREADS: usize = 2;
/// So many such questions wait ...
pub const DESK_WAITING: usize = 256;
/// ... and so many may one user have.
pub const DESK_PER_USER: usize = 32;
/// Threads that make holds: so many are made at the same time.
pub const KEEP_THREADS: usize = 4;
/// So many holds wait for their turn ...
pub const KEEP_WAITING: usize = 256;
/// ... and so many may one user have: a NIDS makes one after the other.
pub const KEEP_PER_USER: usize = 64;
/// Threads for questions about memory alone that the API's threads could not answer at once ...
pub const MEMORY_THREADS: usize = 2;
/// ... and how many of those wait, some milliseconds each; more go to the query threads, where beside a full load one may take seconds.
pub const MEMORY_WAITING: usize = 256;
/// A sign of life is given once a second: a gap that is shorter is none.
pub const GAP_MIN_NS: u64 = 2_000_000_000;
/// Chunks of an answer that wait for a slow client.
pub const CHUNKS_WAITING: usize = 4;
/// Queries that wait for one of them; who comes after is told to come again.
pub const JOBS_WAITING: usize = 1024;
/// Queries of one user at a time unless configured.
pub const QUERIES_PER_USER: usize = 256;
/// Time of one query unless configured.
pub const QUERY_NS: u64 = 600_000_000_000;
/// Bytes of one answer unless configured.
pub const ANSWER_BYTES: u64 = 100 << 30;
/// Reloads that wait for the control thread.
pub const RELOADS_WAITING: usize = 16;
/// A document from one process of a recorder to another: all classes with the longest filters are a tenth of it.
pub const DOCUMENT_BYTES_MAX: u64 = 64 << 20;
/// Descriptors in one message: documents, and the memory that capture and serve share. The kernel takes 253.
pub const HANDED_MAX: usize = 32;
/// Messages of one half that the parent takes before it looks at everything else.
pub const HALF_MESSAGES: usize = 64;
/// A serve that says nothing at so many looks of the parent, a second apart, hangs: it beats each second.
pub const SERVE_SILENT_LOOKS: u32 = 5;
/// The same until it has been heard for the first time: it opens a store, whose disk may be slow.
pub const SERVE_START_LOOKS: u32 = 60;
/// At the end serve has this long to index the last segments and to take the last slices of holds.
pub const SERVE_LAST: std::time::Duration = std::time::Duration::from_secs(10);
/// Longest path, and longest error, that the audit log has whole.
pub const AUDIT_TEXT_BYTES: usize = 512;
/// A file of the audit log holds so much; then the day has another.
pub const AUDIT_FILE_BYTES: u64 = 32 << 20;
/// All files of the audit log together.
pub const AUDIT_BYTES: u64 = 512 << 20;
/// Of each address, or user, that may nothing so many requests of a minute have a line of their own.
pub const AUDIT_REFUSED_LINES: u64 = 10;
/// So many of them are told apart.
pub const AUDIT_REFUSED_WHO: usize = 1024;
/// At the end, what was entered in the audit log must be on the disk within this time.
pub const AUDIT_LAST: std::time::Duration = std::time::Duration::from_secs(5);
/// Requests that wait for the audit log's disk.
pub const AUDIT_WAITING: usize = 4096;

const _: () = assert!(FLOOD_SAMPLE.is_power_of_two());
// An option's length has 16 bits.
const _: () = assert!(INTERFACE_OPTIONS_MAX < 1 << 16);
const _: () = assert!(PARCEL_BYTES >= SNAPLEN as usize);
/// Block buffers of a worker, at least: a batch fits and as much again can be on its way to the disk.
pub const BLOCKS_MIN: usize = 32;
/// Open blocks of one writer: one for each class and link type in use, but for half of its buffers at most.
pub const STREAMS_MAX: usize = CLASSES_MAX + 16;
/// Segments of one writer that are open or still have writes under way.
pub const OPEN_SEGMENTS_MAX: usize = 2 * STREAMS_MAX;
/// A block whose write failed is written anew, elsewhere, after this time.
pub const WRITE_RETRY_NS: u64 = 250_000_000;
/// A block that could not be written for this long is given up, so that its memory holds newer packets.
pub const WRITE_GIVE_UP_NS: u64 = 60_000_000_000;
/// Longest note for the audit log.
pub const NOTE_BYTES_MAX: usize = 4096;
/// Longest record of a NIDS; payloads are in it.
pub const NIDS_LINE_MAX: usize = 1 << 20;
/// Connections of NIDSs at a time: each has a thread.
pub const NIDS_PEERS_MAX: usize = 32;
/// Orders of a NIDS that wait; who comes after is refused.
pub const NIDS_ORDERS_WAITING: usize = 1024;
/// Offenders whose limits are remembered, and things done that are not done again soon.
pub const NIDS_REMEMBERED: usize = 65_536;
/// Trouble with a NIDS is told once in this time, each kind of it.
pub const NIDS_TELL_NS: u64 = 10_000_000_000;
/// An order of a NIDS is tried again for this long while the recorder is away.
pub const NIDS_PATIENCE_NS: u64 = 120_000_000_000;
/// What a NIDS' orders have left when their coupling is ended: what is not done by then is counted and told.
pub const NIDS_DRAIN: std::time::Duration = std::time::Duration::from_secs(2);
/// A note for the audit log takes no longer.
pub const NIDS_NOTE: std::time::Duration = std::time::Duration::from_secs(1);
/// A packet can be read this long after its arrival: its block is closed and written.
pub const NIDS_SETTLE_NS: u64 = 250_000_000;
/// A Zeek that says nothing for this long is asked whether it is there; twice as long, and it is not.
pub const NIDS_SILENT_NS: u64 = 20_000_000_000;
/// A connection that is not found is looked for again for this long.
pub const NIDS_FIND_NS: u64 = 3_000_000_000;
/// A hold that a NIDS makes takes so much at most unless configured: a busy or spoofed host does not fill all that there is ...
pub const NIDS_HOLD_BYTES: u64 = 1 << 30;
/// ... is let go after this time ...
pub const NIDS_HOLD_AGE_NS: u64 = 30 * 86_400 * 1_000_000_000;
/// ... and with all others of the kind takes so much: what people hold has the other half.
pub const NIDS_HELD_BYTES: u64 = 5 << 30;
/// What holds may take together where nobody has said otherwise.
pub const HELD_BYTES: u64 = 10 << 30;
/// Of a store's filesystem so much is left free as long as something of the store can go: this part, at least ...
pub const RESERVE_PERCENT: u64 = 2;
/// ... these bytes, but of a small one ...
pub const RESERVE_BYTES: u64 = 1 << 30;
/// ... at most this part.
pub const RESERVE_PERCENT_MAX: u64 = 5;
/// A segment that has expired waits this long for its entry in the ledger before it is deleted.
pub const ENTER_NS: u64 = 1_000_000_000;
/// The end of a recording waits this long for a segment where the filesystem has no room for one.
pub const FINISH_FULL_NS: u64 = 1_000_000_000;
/// An import waits this long for room before it gives up.
pub const IMPORT_FULL_NS: u64 = 5_000_000_000;
/// The end of a recording waits this long for the disk, and for memory to take in the last blocks.
pub const FINISH_NS: u64 = 30_000_000_000;

const _: () = assert!(SEGMENT_SLOTS > WORKERS_MAX * (OPEN_SEGMENTS_MAX + 2) && WRITERS_MAX >= WORKERS_MAX);
const _: () = assert!(BLOCK_BYTES.is_multiple_of(SECTOR_BYTES) && STRIPE_BYTES.is_multiple_of(SECTOR_BYTES));
// A query has a bit for each piece of a block.
const _: () = assert!(PIECE_BYTES.is_multiple_of(SECTOR_BYTES) && BLOCK_BYTES / PIECE_BYTES <= 64);
// A packet of the largest snap length fits a block with its header, statistics and trailer.
const _: () = assert!(BLOCK_BYTES > SNAPLEN as usize + 64 + 2 * SECTOR_BYTES + PAD_BYTES_MAX);
// A record of the largest snap length fits the window of the file source, up to twice over.
const _: () = assert!(FILE_WINDOW_BYTES > 2 * SNAPLEN as usize + 64);
const _: () = assert!(SEGMENT_BYTES_MIN > 2 * BLOCK_BYTES as u64);
/// Interfaces that a summary names for each link type that an expression can't be asked of, and segments that are asked for their names.
pub const REFUSED_NAMED: usize = 16;
