//! Followers, and those that go on where one stood.

/// A follower looks for what has come this often.
pub const FOLLOW_NS: u64 = 20_000_000;
/// Followers at a time: each has a thread.
pub const FOLLOWERS_MAX: usize = 64;
/// Of these one user has so many at most.
pub const FOLLOWERS_PER_USER: usize = 32;
/// A cursor of a follower names so many segments: those that are being written, one for each class of each worker, and those that a round reads.
pub const CURSOR_SEGMENTS_MAX: usize = 2048;
/// Longest text of one: it goes with a question, which is no longer than [`ASK_BYTES_MAX`](super::ASK_BYTES_MAX).
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
