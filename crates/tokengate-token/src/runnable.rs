//! The routed half of a token: it is run or abandoned, nothing else.
//!
//! Held by mailboxes, deques and workers. At most one exists for a token. Dropping it abandons the
//! token, which resolves as killed: no handle is lost with a queue.

use std::borrow::Cow;
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::{NonZeroU32, NonZeroU64};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::cell::{Header, Place, kill, task};
use crate::error::RejectCause;
use crate::extras::{Ending, Times};
use crate::present::Present;
use crate::{Bond, Companion, Deadline, Killer, Operation, Outcome, TokenId, TokenView};

/// The right to run a token's body, or the next poll of it.
///
/// ```
/// use tokengate_token::{create, NoHome, Operation, Plain, Ran};
/// static OP: Operation = Operation::new("example");
/// let (token, runnable) = create(&OP, Plain::new(|| 21 * 2));
/// assert!(matches!(runnable.run(&NoHome::shared()), Ran::Completed));
/// assert_eq!(token.get().unwrap(), 42);
/// ```
pub struct Runnable {
    cell: NonNull<Header>,
}

/// What came of a [`Runnable::run`].
#[must_use = "`Again` and `Retry` hold the runnable: dropping it kills the token"]
#[derive(Debug)]
#[non_exhaustive]
pub enum Ran {
    /// The body returned a value, and is gone.
    Completed,
    /// The body returned an error, and is gone.
    Failed,
    /// The body panicked, and is gone.
    Panicked,
    /// The body returned or panicked, and is gone, after the token had been ended from outside.
    Late(Outcome),
    /// The token had been ended before it was started: nothing was run.
    Tombstone(Outcome),
    /// The token was started by its waiter: nothing was run here.
    Elsewhere,
    /// The token was ended from outside, and its body dropped here: a future that was killed, or
    /// whatever the home [refuses](Home::refuses) to let start.
    Dropped(Outcome),
    /// An async body waits; its waker will post it to its home.
    Suspended,
    /// An async body was woken while it was polled: run it again when it is its turn.
    Again(Runnable),
    /// The body failed, and its operation's [`Retry`](crate::Retry) lets it run again: wait as that says,
    /// then run this. Until then the token has not started.
    Retry(Runnable),
}

impl Ran {
    /// What a start that lost has lost to.
    pub(crate) fn lost(header: &Header) -> Self {
        // Neither changes any more: a token that was ended unstarted is never started.
        if header.state().load().started() {
            Self::Elsewhere
        } else {
            Self::Tombstone(header.ended_as())
        }
    }
}

/// What became of a token whose runnable was [given up](Runnable::kill).
#[derive(Clone, Copy, Debug)]
pub struct Abandoned {
    /// What it ended as: its body and arguments are gone. None if its waiter has started it.
    pub outcome: Option<Outcome>,
    /// What it was bound to, if it has exited by this.
    pub bond: Bond,
}

/// Where an async body lives between two polls; given to each [`Runnable::run`].
///
/// All methods may be called from any thread, also while it ends, and must not panic or block.
pub trait Home: Send + Sync + 'static {
    /// A woken or killed async body: run this soon, in the same place.
    fn post(&self, runnable: Runnable);

    /// Called before a body is suspended for the first time, in each of its attempts; gives the key
    /// for [`leave`](Self::leave), which is not [`usize::MAX`].
    ///
    /// Who keeps `task` can reach the suspended body. The default keeps nothing.
    fn seat(&self, task: TaskRef) -> usize {
        drop(task);
        0
    }

    /// The body that took this seat is gone, or waits for its next attempt.
    fn leave(&self, seat: usize) {
        let _ = seat;
    }

    /// A token with this bond has exited here: its body and arguments are gone. One whose body
    /// returned or panicked resolves next.
    ///
    /// Called on the thread that ran the body, or that was [refused](Self::refuses) to. Of a token
    /// that had not started when it was ended the [`Keeper`](crate::Keeper) hears, or whoever
    /// [killed](Runnable::kill) its runnable.
    fn exited(&self, operation: &'static Operation, bond: Bond) {
        let _ = (operation, bond);
    }

    /// Why this token must not start, or its future not be polled again; it is killed then.
    ///
    /// Asked after the start was claimed, and only on threads whose [`Watcher`](crate::Watcher) was told that
    /// tokens are controlled: whoever tells so, and then looks for tokens that execute, finds each
    /// token there or has it asked for here.
    fn refuses(&self, token: &TokenView, started: bool) -> Option<Cow<'static, str>> {
        let _ = (token, started);
        None
    }

    /// An attempt of a body that can run again has ended; whether there may be another one.
    ///
    /// Called for each, also for those that succeed: `again` says that this one has failed, and that
    /// the policy of its operation allows another.
    fn attempted(&self, operation: &'static Operation, attempt: u32, again: bool) -> bool {
        let _ = (operation, attempt);
        again
    }

    /// A token was ended between two attempts: its runnable, which [`Ran::Retry`] gave, may wait
    /// somewhere, and should be run now. It is a tombstone.
    ///
    /// Called by whoever ended it. May come before the runnable was put anywhere: look whether it
    /// [has ended](Runnable::has_ended) before it waits.
    fn ended_between_attempts(&self, token: &TokenView) {
        let _ = token;
    }

    /// A token failed or panicked, and its handle was dropped without reading that.
    fn unobserved(&self, failure: &Failure) {
        let _ = failure;
    }
}

/// A home for those who run no async bodies: what is posted to it is abandoned.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoHome;

impl NoHome {
    /// One, shared, in the form that [`Runnable::run`] takes.
    pub fn shared() -> Arc<dyn Home> {
        Arc::new(Self)
    }
}

impl Home for NoHome {
    fn post(&self, runnable: Runnable) {
        runnable.kill("its executor has no home for async bodies; give `run` a home that queues");
    }
}

/// A failure that nobody read.
#[derive(Clone, Debug)]
pub struct Failure {
    id: TokenId,
    operation: &'static Operation,
    kind: FailureKind,
}

/// What the failure was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The body returned an error.
    Error,
    /// The body panicked with this message.
    Panic(String),
}

impl Failure {
    pub(crate) fn new(id: TokenId, operation: &'static Operation, kind: FailureKind) -> Self {
        Self {
            id,
            operation,
            kind,
        }
    }

    /// The token.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// Its operation.
    pub fn operation(&self) -> &'static Operation {
        self.operation
    }

    /// Error or panic.
    pub fn kind(&self) -> &FailureKind {
        &self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.operation.label();
        match &self.kind {
            FailureKind::Error => write!(f, "operation `{label}` returned an error")?,
            FailureKind::Panic(message) => write!(f, "operation `{label}` panicked: {message}")?,
        }
        f.write_str(", and its token was dropped unread; keep the token and ask for its result")
    }
}

#[expect(
    unsafe_code,
    reason = "the runnable is a pointer to a cell that threads share"
)]
// SAFETY: bodies are `Send` (see `create_sync` and `create_async`), and moving the runnable moves
// the right to the body; the header is made for sharing.
unsafe impl Send for Runnable {}
#[expect(
    unsafe_code,
    reason = "the runnable is a pointer to a cell that threads share"
)]
// SAFETY: by shared reference only atomics of the header can be reached.
unsafe impl Sync for Runnable {}

impl Runnable {
    /// # Safety
    ///
    /// The caller owns the runnable half of this cell, and gives it to the result.
    #[expect(unsafe_code, reason = "makes an owner from a pointer")]
    pub(crate) unsafe fn from_raw(cell: NonNull<Header>) -> Self {
        Self { cell }
    }

    /// The cell; whoever gets it owns the runnable half.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).cell
    }

    #[inline]
    #[expect(unsafe_code, reason = "reads through the cell pointer")]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the runnable half has not let go, so the cell is alive.
        unsafe { self.cell.as_ref() }
    }

    /// Runs the body on this thread, or polls it once.
    ///
    /// A panic of the body, of its arguments' destructors, or of the caller's waker is contained.
    /// `home` gets the body back if it suspends; sync bodies use it for reports only.
    #[inline(always)]
    pub fn run(self, home: &Arc<dyn Home>) -> Ran {
        self.run_with(home, None)
    }

    /// As [`run`](Self::run); while the body runs, others can end its token through `present`.
    ///
    /// `present` belongs to this thread: no other runs anything with it at the same time.
    #[inline(always)]
    pub fn run_present(self, home: &Arc<dyn Home>, present: &Present) -> Ran {
        self.run_with(home, Some(present))
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "calls through the cell's vtable")]
    fn run_with(self, home: &Arc<dyn Home>, present: Option<&Present>) -> Ran {
        let run = self.header().vtable().run;
        // SAFETY: the vtable was made for this cell, and the half is given up.
        unsafe { run(self.into_raw(), home, present) }
    }

    /// Ends the token without running it; no effect on a token that has an outcome, or that its
    /// waiter has started.
    ///
    /// Says what became of it; what it was bound to is the caller's to be given back.
    pub fn kill(self, reason: impl Into<Cow<'static, str>>) -> Abandoned {
        self.end(Ending::Killed(reason.into()))
    }

    /// Refuses the token: its handle resolves as rejected. As [`kill`](Self::kill).
    pub fn reject(self, cause: RejectCause) -> Abandoned {
        self.end(Ending::Rejected(cause))
    }

    #[cold]
    #[expect(unsafe_code, reason = "gives the half up")]
    fn end(self, ending: Ending) -> Abandoned {
        // SAFETY: the half is ours, and `into_raw` gives it up.
        unsafe { kill::abandon(self.into_raw(), ending) }
    }

    /// The token's id.
    pub fn id(&self) -> TokenId {
        self.header().id()
    }

    /// The token's operation.
    #[inline]
    pub fn operation(&self) -> &'static Operation {
        self.header().operation()
    }

    /// Whether the body is a future: then it needs a real [`Home`].
    #[inline]
    pub fn is_async(&self) -> bool {
        self.header().is_async()
    }

    /// Whether the body was started: then this runs the next poll of it, or nothing.
    pub fn has_started(&self) -> bool {
        self.header().state().load().started()
    }

    /// Whether the token has its outcome, so that its body is not run.
    pub fn has_ended(&self) -> bool {
        self.header().state().load().resolved()
    }

    /// Who the token is, and what it is bound to.
    pub fn view(&self) -> TokenView {
        TokenView::of(self.header())
    }

    /// The number of the attempt that runs or comes next, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.header().state().load().attempt()
    }

    /// Where the token is, as last set.
    #[inline]
    pub fn place(&self) -> Place {
        self.header().place()
    }

    /// Notes where the token is; read by `Token::status`.
    #[inline]
    pub fn set_place(&self, place: Place) {
        self.header().set_place(place);
    }

    /// Notes that the token holds no credit any more; whether it held one.
    #[inline]
    pub fn take_credit(&self) -> bool {
        self.header().take_credit()
    }

    /// What the token is bound to, as last set.
    #[inline]
    pub fn bond(&self) -> Bond {
        self.header().bond()
    }

    /// The entry of the lane that it takes part in, if any.
    #[inline]
    pub fn lane(&self) -> Option<NonZeroU32> {
        self.header().lane()
    }

    /// Binds the token: once, and before anybody can end it through its handle or a [`Deadline`]. By then
    /// its [place](Self::set_place) names its gate.
    #[inline]
    pub fn set_bond(&self, bond: Bond) {
        self.header().set_bond(bond);
    }

    /// The times that [`set_times`](Self::set_times) noted; none for a token with nothing rare.
    #[inline]
    pub fn times(&self) -> Option<Times> {
        Some(self.header().extras_if_any()?.times())
    }

    /// Notes times, for whoever runs the token. Allocates for the first note.
    ///
    /// After publication only for async bodies: others may be run by their waiters, who read it.
    pub fn set_times(&self, times: Times) {
        self.header().extras().set_times(times);
    }

    /// Notes when the body is started, unless that was noted before; gives what is noted.
    ///
    /// Before the start is claimed, for a token that has [`times`](Self::times).
    pub fn note_started(&self, now: NonZeroU64) -> NonZeroU64 {
        self.header().extras().note_started(now)
    }

    /// Sends something along with the token; before publication, and once. Allocates.
    pub fn set_companion(&self, companion: Arc<dyn Companion>) {
        let _ = self.header().extras().companion().set(companion);
    }

    /// What goes with the token, if anything does.
    pub fn companion(&self) -> Option<Arc<dyn Companion>> {
        self.header().extras_if_any()?.companion().get().cloned()
    }

    /// A way to end the token, and to look at it, from elsewhere. The first one allocates.
    pub fn killer(&self) -> Killer {
        Killer::of(self.cell, self.header())
    }

    /// What ends the token when its time is over. Allocates for the first one.
    pub fn deadline(&self) -> Deadline {
        Deadline::of(self.cell, self.header())
    }
}

impl Drop for Runnable {
    #[expect(unsafe_code, reason = "gives the half up")]
    fn drop(&mut self) {
        let reason = "its runnable was dropped without being run";
        // SAFETY: the half is ours, and this is its end.
        unsafe { kill::abandon(self.cell, Ending::Killed(reason.into())) };
    }
}

impl fmt::Debug for Runnable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runnable")
            .field("id", &self.id().get())
            .field("operation", &self.operation().label())
            .finish_non_exhaustive()
    }
}

/// A counted reference to an async body, to end it from outside.
pub struct TaskRef {
    cell: NonNull<Header>,
}

#[expect(
    unsafe_code,
    reason = "the reference is a pointer to a cell that threads share"
)]
// SAFETY: it gives access to the header and to kill only, both made for any thread.
unsafe impl Send for TaskRef {}
#[expect(
    unsafe_code,
    reason = "the reference is a pointer to a cell that threads share"
)]
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// The token of the body.
    #[expect(unsafe_code, reason = "reads through the cell pointer")]
    pub fn view(&self) -> TokenView {
        // SAFETY: the counted reference keeps the cell alive.
        TokenView::of(unsafe { self.cell.as_ref() })
    }

    /// # Safety
    ///
    /// The caller counted a reference to this async cell, and gives it to the result.
    #[expect(unsafe_code, reason = "makes an owner from a pointer")]
    pub(crate) unsafe fn from_raw(cell: NonNull<Header>) -> Self {
        Self { cell }
    }

    /// The cell as a waker's data; whoever gets it owns the reference.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).cell
    }

    /// Ends the token; `false` if it has an outcome already.
    #[expect(unsafe_code, reason = "claims through the cell pointer")]
    pub fn kill(&self, reason: impl Into<Cow<'static, str>>) -> bool {
        // SAFETY: the counted reference keeps the cell alive.
        unsafe { kill::claim(self.cell, Ending::Killed(reason.into())) }.is_won()
    }

    /// As [`kill`](Self::kill), unless the body is being polled at the moment: then it goes on.
    #[expect(unsafe_code, reason = "claims through the cell pointer")]
    pub fn kill_suspended(&self, reason: impl Into<Cow<'static, str>>) -> bool {
        // SAFETY: the counted reference keeps the cell alive.
        unsafe { kill::claim_suspended(self.cell, Ending::Killed(reason.into())) }.is_won()
    }
}

impl Clone for TaskRef {
    #[expect(unsafe_code, reason = "counts a reference to the cell")]
    fn clone(&self) -> Self {
        // SAFETY: a `TaskRef` is made of async cells only, and ours keeps it alive.
        unsafe { task::new_reference(self.cell) }
    }
}

impl Drop for TaskRef {
    #[expect(unsafe_code, reason = "gives the reference up")]
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and this is its end.
        unsafe { task::drop_reference(self.cell) }
    }
}

impl fmt::Debug for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRef").finish_non_exhaustive()
    }
}
