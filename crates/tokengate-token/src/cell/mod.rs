//! The cell: one allocation that holds header, body, result and the caller's waker.
//!
//! `create` makes one and gives its two halves: [`handle`] for the caller, [`run`] for whoever runs
//! it; [`kill`] ends it from outside; [`task`] is the part that only async bodies have, [`retry`] what
//! bodies that can run again have in their place. The state
//! word (`STATE.md`) says at each moment who may touch what; this file says where it is.
//! It starts nothing and waits for nothing.

pub(crate) mod handle;
pub(crate) mod kill;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod task;

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::num::NonZeroU32;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::task::Waker;

use crate::bond::BondWord;
use crate::extras::Extras;
use crate::keeper::{self, Visit};
use crate::memory::Block;
use crate::present::Present;
use crate::runnable::{Home, Ran};
use crate::state::{Outcome, State};
use crate::sync::UnsafeCell;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::atomic::{AtomicPtr, AtomicU32};
use crate::{Bond, Operation, TokenId, contain};
use handle::Handle;
use task::Task;

/// The part of a cell that does not depend on its types: 80 bytes.
#[repr(C, align(8))]
pub(crate) struct Header {
    state: State,
    /// See [`Place`]. Written by the scheduler, read by anybody.
    place: AtomicU32,
    /// The next runnable of a list. Belongs to whoever owns the runnable.
    next: UnsafeCell<Option<NonNull<Header>>>,
    vtable: &'static VTable,
    id: TokenId,
    operation: &'static Operation,
    /// See "The bond" in `STATE.md` for who changes it; read by anybody.
    bond: BondWord,
    /// Null, or a leaked box; set at most once, freed with the cell.
    extras: AtomicPtr<Extras>,
    /// Who waits. Belongs to the handle while `WAKER` is clear, else to whoever resolves.
    waker: UnsafeCell<Option<Waker>>,
    /// Takes no space: stands for the stage, so that the model checker sees accesses to it. The
    /// body belongs to whoever claimed the start or the kill, or to the owner of the runnable of a
    /// started async body; the result belongs to the handle once `RESOLVED` is set, or to whoever
    /// resolved if the handle was closed by then.
    stage: UnsafeCell<()>,
}

/// Runs a body with its home, on a thread whose tokens can be reached through the `Present`.
pub(crate) type Run = unsafe fn(NonNull<Header>, &Arc<dyn Home>, Option<&Present>) -> Ran;

/// What depends on the types, for those who do not know them.
pub(crate) struct VTable {
    /// Runs the body, or the next poll of it. Consumes the runnable half.
    pub(crate) run: Run,
    /// Runs a sync body for its waiter, who owns the handle; none for async bodies, nor for those that
    /// can run again.
    pub(crate) run_here: Option<Run>,
    /// Drops the body in place and contains its panic.
    drop_body: unsafe fn(NonNull<Header>),
    block: Block,
    /// For async bodies, where the [`Task`] is, in bytes from the header.
    task_offset: Option<usize>,
}

/// The typed cell. `A` is [`Task`] for async bodies and `()` for the others.
#[repr(C)]
struct Cell<B, R, A> {
    header: Header,
    stage: ManuallyDrop<Stage<B, R>>,
    task: A,
}

/// What is in a cell: first the body, then what it gave.
#[repr(C)]
union Stage<B, R> {
    _body: ManuallyDrop<B>,
    _result: ManuallyDrop<R>,
    _panic: ManuallyDrop<Box<dyn Any + Send>>,
}

/// Bodies with more than this are boxed, so that the result's place follows from its own type.
const BODY_ALIGN: usize = 8;

impl<B, R, A> Cell<B, R, A> {
    const BLOCK: Block = Block::of(std::alloc::Layout::new::<Self>());
    /// The stage is where [`result_offset`] says, also seen from a handle that does not know `B`.
    const IN_PLACE: bool =
        align_of::<B>() <= BODY_ALIGN && std::mem::offset_of!(Self, stage) == result_offset::<R>();
}

/// Where the stage of a cell with results of type `R` is, in bytes from the header.
const fn result_offset<R>() -> usize {
    size_of::<Header>().next_multiple_of(align_of::<R>())
}

/// The domain a token was routed to, and how far it came, as the scheduler last wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A number that tells the schedulers of a process apart; whatever they agreed upon. At most
    /// [`Place::MAX_GATE`].
    pub gate: u16,
    /// The domain's index, counted from 0; none before routing. At most [`Place::MAX_DOMAIN`].
    pub domain: Option<u16>,
    /// Whether it was set aside: a worker took it, and may not start it yet, or its body has failed
    /// and its next attempt is not due yet.
    pub aside: bool,
    /// Whether it was posted to a mailbox.
    pub published: bool,
    /// Whether it holds a credit, to be given back when it is taken.
    pub credit: bool,
    /// Whether it holds a permit of its limit, to be given back when it exits or is not started.
    pub permit: bool,
}

const PUBLISHED: u32 = 1 << 31;
const CREDIT: u32 = 1 << 30;
const ASIDE: u32 = 1 << 29;
const PERMIT: u32 = 1 << 28;
const DOMAIN_SHIFT: u32 = GATE_BITS;
const DOMAIN_BITS: u32 = 14;
const GATE_BITS: u32 = 14;

impl Place {
    /// The largest index of a domain that a place can hold.
    pub const MAX_DOMAIN: u16 = (1 << DOMAIN_BITS) - 2;

    /// The largest number of a gate that a place can hold.
    pub const MAX_GATE: u16 = (1 << GATE_BITS) - 1;

    #[inline]
    fn pack(self) -> u32 {
        debug_assert!(self.gate <= Self::MAX_GATE);
        let domain = self.domain.map_or(0, |domain| {
            debug_assert!(domain <= Self::MAX_DOMAIN);
            u32::from(domain) + 1
        });
        u32::from(self.gate)
            | domain << DOMAIN_SHIFT
            | if self.published { PUBLISHED } else { 0 }
            | if self.credit { CREDIT } else { 0 }
            | if self.aside { ASIDE } else { 0 }
            | if self.permit { PERMIT } else { 0 }
    }

    #[inline]
    fn unpack(word: u32) -> Self {
        let domain = (word >> DOMAIN_SHIFT) & ((1 << DOMAIN_BITS) - 1);
        Self {
            gate: word as u16 & Self::MAX_GATE,
            domain: domain.checked_sub(1).map(|domain| domain as u16),
            published: word & PUBLISHED != 0,
            credit: word & CREDIT != 0,
            aside: word & ASIDE != 0,
            permit: word & PERMIT != 0,
        }
    }
}

impl Header {
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The outcome of a token that has one.
    #[cold]
    pub(crate) fn ended_as(&self) -> Outcome {
        let outcome = self.state.load().outcome();
        outcome.expect("a token that does not start or go on was ended from outside")
    }

    #[inline]
    pub(crate) fn id(&self) -> TokenId {
        self.id
    }

    #[inline]
    pub(crate) fn operation(&self) -> &'static Operation {
        self.operation
    }

    pub(crate) fn vtable(&self) -> &'static VTable {
        self.vtable
    }

    #[inline]
    pub(crate) fn is_async(&self) -> bool {
        self.vtable.task_offset.is_some()
    }

    /// Acquire, and Release: a waiter that finds it fit to run may do so, and sees what whoever made
    /// it so has written. For all else publication is the order.
    #[inline]
    pub(crate) fn place(&self) -> Place {
        Place::unpack(self.place.load(Acquire))
    }

    #[inline]
    pub(crate) fn set_place(&self, place: Place) {
        self.place.store(place.pack(), Release);
    }

    /// Takes the credit out of the place; whether there was one.
    #[inline]
    pub(crate) fn take_credit(&self) -> bool {
        // Relaxed: the runnable's owner alone writes it.
        let place = self.place.load(Relaxed);
        if place & CREDIT != 0 {
            self.place.store(place & !CREDIT, Release);
        }
        place & CREDIT != 0
    }

    #[inline]
    pub(crate) fn bond(&self) -> Bond {
        self.bond.load()
    }

    #[inline]
    pub(crate) fn lane(&self) -> Option<NonZeroU32> {
        self.bond.lane()
    }

    #[inline]
    pub(crate) fn set_bond(&self, bond: Bond) {
        self.bond.set(bond);
    }

    /// Tells the home, if the token is bound, that it has exited: its body and arguments are gone.
    /// For whoever ran it, or was refused to.
    ///
    /// Unbinds it before: it may resolve only later, and a wait for it in the next body of its lane,
    /// or of another key that has its entry by then, must not be taken for one that can never end.
    /// Whoever has the lane or the entry after it sees that, as the home's release is ordered.
    #[inline(always)]
    pub(crate) fn exited(&self, home: &Arc<dyn Home>) {
        let bond = self.bond.take();
        if !bond.is_none() {
            home.exited(self.operation, bond);
        }
    }

    /// The scheduler that is to hear of it if the caller ends the token before its start.
    ///
    /// To be asked for before the claim: as long as the token has not resolved its scheduler lives,
    /// and no other one has its number. If the claim is lost, what was found means nothing.
    pub(crate) fn visit_keeper(&self) -> Option<Visit> {
        if self.bond().is_none() || self.state.load().resolved() {
            return None;
        }
        Visit::to(self.place().gate)
    }

    /// Whether it has not started, and is behind others in its lane.
    pub(crate) fn is_behind_others(&self) -> bool {
        let bond = self.bond();
        if bond.turn.is_none() {
            return false;
        }
        let keeper = keeper::find(self.place().gate);
        // After that, as in `visit_keeper`: then the keeper is its own, and knows the bond.
        let now = self.state.load();
        !now.started() && !now.resolved() && keeper.is_some_and(|keeper| !keeper.has_turn(bond))
    }

    /// The link of the list that the runnable is in; only for the runnable's owner.
    pub(crate) fn next(&self) -> &UnsafeCell<Option<NonNull<Header>>> {
        &self.next
    }

    /// The extras, if there are any.
    #[inline]
    #[expect(unsafe_code, reason = "the box lives as long as the cell")]
    pub(crate) fn extras_if_any(&self) -> Option<&Extras> {
        // Acquire: pairs with the exchange in `extras`, so that the box's content is visible.
        let extras = self.extras.load(Acquire);
        // SAFETY: null, or from `Box::into_raw` in `extras`; freed by `free_cell` only.
        unsafe { extras.as_ref() }
    }

    /// The extras, made now if need be.
    #[cold]
    #[expect(unsafe_code, reason = "the box lives as long as the cell")]
    pub(crate) fn extras(&self) -> &Extras {
        if let Some(extras) = self.extras_if_any() {
            return extras;
        }
        let fresh = Box::into_raw(Box::default());
        // Release pairs with the Acquire loads of those who find it here; Acquire with the Release
        // of whoever was first.
        let winner = match self
            .extras
            .compare_exchange(ptr::null_mut(), fresh, AcqRel, Acquire)
        {
            Ok(_) => fresh,
            Err(first) => {
                // SAFETY: `fresh` is ours: it was not published.
                drop(unsafe { Box::from_raw(fresh) });
                first
            }
        };
        // SAFETY: not null, and freed by `free_cell` only.
        unsafe { &*winner }
    }
}

/// Makes the cell of a sync body.
#[inline(always)]
pub(crate) fn create_sync<F, T, E>(
    operation: &'static Operation,
    body: F,
) -> (Handle<T, E>, NonNull<Header>)
where
    F: FnOnce() -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    if align_of::<F>() > BODY_ALIGN {
        new_sync(operation, Box::new(body))
    } else {
        new_sync(operation, body)
    }
}

#[inline(always)]
fn new_sync<F, T, E>(operation: &'static Operation, body: F) -> (Handle<T, E>, NonNull<Header>)
where
    F: FnOnce() -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    struct Sync<F, T, E>(PhantomData<(F, T, E)>);
    impl<F, T, E> Sync<F, T, E>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
    {
        const VTABLE: &'static VTable = &VTable {
            run: run::run_sync::<F, T, E>,
            run_here: Some(run::run_sync_here::<F, T, E>),
            drop_body: run::drop_body::<F, Result<T, E>>,
            block: Cell::<F, Result<T, E>, ()>::BLOCK,
            task_offset: None,
        };
    }
    let header = new_cell::<F, Result<T, E>, ()>(operation, Sync::<F, T, E>::VTABLE, body, ());
    (Handle::new(header), header)
}

/// Makes the cell of an async body.
pub(crate) fn create_async<F, T, E>(
    operation: &'static Operation,
    body: F,
) -> (Handle<T, E>, NonNull<Header>)
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    if align_of::<F>() > BODY_ALIGN {
        new_async(operation, Box::pin(body))
    } else {
        new_async(operation, body)
    }
}

fn new_async<F, T, E>(operation: &'static Operation, body: F) -> (Handle<T, E>, NonNull<Header>)
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    struct Async<F, T, E>(PhantomData<(F, T, E)>);
    impl<F, T, E> Async<F, T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        const VTABLE: &'static VTable = &VTable {
            run: task::run_async::<F, T, E>,
            run_here: None,
            drop_body: run::drop_body::<F, Result<T, E>>,
            block: Cell::<F, Result<T, E>, Task>::BLOCK,
            task_offset: Some(std::mem::offset_of!(Cell<F, Result<T, E>, Task>, task)),
        };
    }
    let vtable = Async::<F, T, E>::VTABLE;
    let header = new_cell::<F, Result<T, E>, Task>(operation, vtable, body, Task::new());
    (Handle::new(header), header)
}

#[inline(always)]
#[expect(unsafe_code, reason = "initialises fresh memory")]
fn new_cell<B, R, A>(
    operation: &'static Operation,
    vtable: &'static VTable,
    body: B,
    task: A,
) -> NonNull<Header> {
    // Not at compile time: bodies that are boxed instead are compiled for this place as well.
    assert!(Cell::<B, R, A>::IN_PLACE, "such a body is boxed");
    let cell = Cell::<B, R, A>::BLOCK.allocate().cast::<Cell<B, R, A>>();
    let fresh = Cell::<B, R, A> {
        header: Header {
            state: State::new(),
            place: AtomicU32::new(0),
            next: UnsafeCell::new(None),
            vtable,
            id: TokenId::next(),
            operation,
            bond: BondWord::new(),
            extras: AtomicPtr::new(ptr::null_mut()),
            waker: UnsafeCell::new(None),
            stage: UnsafeCell::new(()),
        },
        stage: ManuallyDrop::new(Stage {
            _body: ManuallyDrop::new(body),
        }),
        task,
    };
    // SAFETY: the block was made for this layout and nobody else uses it.
    unsafe { cell.write(fresh) };
    cell.cast()
}

/// Frees the cell; body, result and waker are gone by now.
///
/// # Safety
///
/// 1. The caller's step on the state word was the last one: both halves have let go and no killer
///    is inside.
/// 2. The stage holds nothing that must be dropped.
#[inline(always)]
#[expect(unsafe_code, reason = "gives the memory back")]
pub(crate) unsafe fn free_cell(header: NonNull<Header>) {
    // SAFETY: the cell is alive until the end of this function (obligation 1).
    let alive = unsafe { header.as_ref() };
    let block = alive.vtable.block;
    if alive.extras_if_any().is_some() {
        free_extras(alive);
    }
    if cfg!(tokengate_loom) {
        // The model checker sees accesses that are not ordered before this end of the cell.
        alive.next.with_mut(|_| ());
        alive.waker.with_mut(|_| ());
        alive.stage.with_mut(|_| ());
        // SAFETY: nobody uses the header any more (obligation 1).
        unsafe { ptr::drop_in_place(header.as_ptr()) };
    }
    // SAFETY: a block of this size was allocated for it, and nobody uses it (obligation 1).
    unsafe { block.free(header.cast()) }
}

/// Empties the killers' slot, then drops the extras.
#[cold]
#[expect(unsafe_code, reason = "takes the box back")]
fn free_extras(header: &Header) {
    if let Some(slot) = header.extras().killer().get() {
        // After this no killer reaches the cell.
        slot.clear();
    }
    // Relaxed: the caller's last step on the state word ordered every other access before this.
    let extras = header.extras.swap(ptr::null_mut(), Relaxed);
    // SAFETY: from `Box::into_raw`, and taken out, so nobody else drops it.
    let extras = unsafe { Box::from_raw(extras) };
    // It may hold the last reference to a home, whose destructor is not ours.
    contain(|| drop(extras));
}
