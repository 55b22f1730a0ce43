//! Links the codec where there is no standard library: with `std` anywhere below, the panic handler would be defined
//! twice and this would not compile.
#![no_std]

extern crate alloc;

use alloc::alloc::{GlobalAlloc, Layout};
use amqp10_codec as _;

struct NoMemory;

// SAFETY: a null pointer is the documented answer of an allocator that has no memory; nothing is ever handed out.
unsafe impl GlobalAlloc for NoMemory {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: NoMemory = NoMemory;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
