//! Where cells live: recycled blocks per thread, bounded, else the user's allocator.
//!
//! Called by `cell` to make and free cells. A thread keeps at most 2 MiB of free blocks;
//! what is beyond goes back to the allocator, and all of it when the thread ends. A block is always
//! an allocation of its own, so it may be freed by any thread.
//!
//! Block sizes are 48 bytes above a multiple of 64: with glibc's 16 bytes of bookkeeping a block
//! then takes whole cache lines, and the header starts at the same offset in each.

use std::alloc::{Layout, handle_alloc_error};
use std::ptr::NonNull;

use crate::sync::{alloc, dealloc};

#[cfg(not(any(tokengate_loom, tokengate_no_recycle)))]
use recycled as source;
#[cfg(any(tokengate_loom, tokengate_no_recycle))]
use single as source;

/// Blocks of one size: how large, and which free list they go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    layout: Layout,
    /// The free list's index, or `CLASSES` for blocks that are not recycled.
    class: u8,
}

/// Sizes of 112, 176, ... 496 bytes are recycled.
const CLASSES: usize = 7;
const STEP_BYTES: usize = 64;
const OFFSET_BYTES: usize = 48;
/// The alignment of recycled blocks, which is what common allocators give without extra work.
pub(crate) const BLOCK_ALIGN: usize = 16;

impl Block {
    /// The block for a cell of this layout.
    pub(crate) const fn of(cell: Layout) -> Self {
        let steps = cell
            .size()
            .saturating_sub(OFFSET_BYTES)
            .div_ceil(STEP_BYTES);
        let steps = if steps == 0 { 1 } else { steps };
        if cell.align() > BLOCK_ALIGN || steps > CLASSES {
            return Self {
                layout: cell,
                class: CLASSES as u8,
            };
        }
        match Layout::from_size_align(OFFSET_BYTES + steps * STEP_BYTES, BLOCK_ALIGN) {
            Ok(layout) => Self {
                layout,
                class: steps as u8 - 1,
            },
            Err(_) => unreachable!(),
        }
    }

    /// Memory for one cell, not initialised.
    #[inline(always)]
    pub(crate) fn allocate(self) -> NonNull<u8> {
        source::allocate(self)
    }

    /// Gives the memory back.
    ///
    /// # Safety
    ///
    /// 1. `memory` came from [`allocate`](Self::allocate) of an equal block and is given back once.
    /// 2. Nobody uses it any more.
    #[inline(always)]
    #[expect(unsafe_code, reason = "takes raw memory back")]
    pub(crate) unsafe fn free(self, memory: NonNull<u8>) {
        // SAFETY: the same obligations.
        unsafe { source::free(self, memory) }
    }
}

/// Every cell is an allocation of its own: for sanitizers and the model checker, which then see
/// each use after free.
mod single {
    use super::*;

    #[cold]
    #[expect(unsafe_code, reason = "the allocator's interface")]
    pub(super) fn allocate(block: Block) -> NonNull<u8> {
        // SAFETY: a cell holds at least its header, so the size is not 0.
        let memory = unsafe { alloc(block.layout) };
        NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(block.layout))
    }

    /// # Safety
    ///
    /// As [`Block::free`].
    #[expect(unsafe_code, reason = "the allocator's interface")]
    pub(super) unsafe fn free(block: Block, memory: NonNull<u8>) {
        // SAFETY: `memory` came from `alloc` with this layout (obligation 1).
        unsafe { dealloc(memory.as_ptr(), block.layout) }
    }
}

#[cfg(not(any(tokengate_loom, tokengate_no_recycle)))]
mod recycled {
    use super::*;
    use std::cell::Cell;

    /// What a thread keeps at most.
    const BOUND_BYTES: usize = 2 << 20;

    /// A free block; lives in the block's own memory.
    struct Free {
        next: Option<NonNull<Free>>,
    }

    /// The free blocks of this thread, newest first in each list.
    struct Lists {
        heads: [Cell<Option<NonNull<Free>>>; CLASSES],
        room_bytes: Cell<usize>,
    }

    thread_local! {
        static LISTS: Lists = const {
            Lists {
                heads: [const { Cell::new(None) }; CLASSES],
                room_bytes: Cell::new(BOUND_BYTES),
            }
        };
    }

    #[inline(always)]
    pub(super) fn allocate(block: Block) -> NonNull<u8> {
        // The list is gone while the thread ends.
        LISTS
            .try_with(|lists| lists.take(block))
            .ok()
            .flatten()
            .unwrap_or_else(|| single::allocate(block))
    }

    /// # Safety
    ///
    /// As [`Block::free`].
    #[inline(always)]
    #[expect(unsafe_code, reason = "takes raw memory back")]
    pub(super) unsafe fn free(block: Block, memory: NonNull<u8>) {
        let kept = LISTS.try_with(|lists| {
            // SAFETY: the caller's obligations.
            unsafe { lists.keep(block, memory) }
        });
        if kept != Ok(true) {
            // SAFETY: the list did not keep it, so it is still given back once.
            unsafe { single::free(block, memory) }
        }
    }

    impl Lists {
        #[inline(always)]
        #[expect(unsafe_code, reason = "reads the link in a free block")]
        fn take(&self, block: Block) -> Option<NonNull<u8>> {
            let list = self.heads.get(usize::from(block.class))?;
            let head = list.get()?;
            // SAFETY: `keep` wrote the link, and the block is in the list, so nobody else uses it.
            let next = unsafe { head.as_ref() }.next;
            list.set(next);
            self.room_bytes
                .set(self.room_bytes.get() + block.layout.size());
            Some(head.cast())
        }

        /// # Safety
        ///
        /// As [`Block::free`].
        #[inline(always)]
        #[expect(unsafe_code, reason = "writes the link into a free block")]
        unsafe fn keep(&self, block: Block, memory: NonNull<u8>) -> bool {
            let Some(list) = self.heads.get(usize::from(block.class)) else {
                return false;
            };
            let room_bytes = self.room_bytes.get();
            if room_bytes < block.layout.size() {
                return false;
            }
            self.room_bytes.set(room_bytes - block.layout.size());
            let free = memory.cast::<Free>();
            let link = Free { next: list.get() };
            // SAFETY: recycled blocks are larger and more aligned than `Free`, and nobody else uses
            // this one (obligation 2).
            unsafe { free.write(link) };
            list.set(Some(free));
            true
        }
    }

    impl Drop for Lists {
        fn drop(&mut self) {
            for (class, list) in self.heads.iter().enumerate() {
                let size = OFFSET_BYTES + (class + 1) * STEP_BYTES;
                let block = Block::of(Layout::from_size_align(size, BLOCK_ALIGN).expect("a class"));
                while let Some(memory) = {
                    let head = list.get();
                    head.and_then(|_| self.take(block))
                } {
                    #[expect(unsafe_code, reason = "gives the memory to the allocator")]
                    // SAFETY: taken from the list, so it came from `single::allocate` of this block
                    // and nobody uses it.
                    unsafe {
                        single::free(block, memory);
                    }
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_block_is_recycled_on_its_thread_and_the_bound_holds() {
            std::thread::spawn(|| {
                let block = Block::of(Layout::new::<[u64; 12]>());
                let count = BOUND_BYTES / block.layout.size() + 10;
                let blocks: Vec<_> = (0..count).map(|_| block.allocate()).collect();
                for &memory in &blocks {
                    #[expect(unsafe_code, reason = "gives test blocks back")]
                    // SAFETY: each comes from `allocate` and is given back once.
                    unsafe {
                        block.free(memory);
                    }
                }
                LISTS.with(|lists| assert!(lists.room_bytes.get() < block.layout.size()));
                let last_kept = blocks[count - 11];
                assert_eq!(block.allocate(), last_kept);
                // The rest, and the one just taken, go back when the thread ends.
                #[expect(unsafe_code, reason = "gives a test block back")]
                // SAFETY: as above.
                unsafe {
                    block.free(last_kept);
                }
            })
            .join()
            .unwrap();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_their_cells_and_large_ones_are_not_rounded() {
        for size in 1..2000 {
            let cell = Layout::from_size_align(size, 8).unwrap();
            let block = Block::of(cell);
            assert!(block.layout.size() >= size);
            assert!(block.layout.align() >= 8);
            assert!(size > 496 || block.layout.size() % 64 == 48);
        }
        let wide = Block::of(Layout::from_size_align(64, 64).unwrap());
        assert_eq!(wide.layout.align(), 64);
    }
}
