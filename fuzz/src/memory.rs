//! How much memory a reader takes: a few times what it is given, and what every reader needs at first.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What may be taken besides: tables that are made once, and pieces that are read ahead.
const AT_FIRST: usize = 96 << 20;
/// What may be taken for each byte that is read: blocks of two bits become single precision, texts become strings.
const PER_BYTE: usize = 100;

/// The allocator of the system, counted.
struct Counted;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn take(bytes: usize) {
    let taken = TAKEN.fetch_add(bytes, Relaxed).saturating_add(bytes);
    if taken > MOST.load(Relaxed) {
        MOST.store(usize::MAX, Relaxed);
        eprintln!("{bytes} bytes more make {taken}, beyond a few times the input");
        std::process::abort();
    }
}

// SAFETY: every call goes to the allocator of the system as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        TAKEN.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Does some work on so many bytes; it ends the program when it takes memory far beyond them.
pub fn bounded<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let most = TAKEN.load(Relaxed) + AT_FIRST + PER_BYTE * bytes;
    MOST.store(most, Relaxed);
    let done = work();
    MOST.store(usize::MAX, Relaxed);
    done
}
