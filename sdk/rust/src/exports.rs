//! What the host calls; used by `export_agent!` alone.

use alloc::{alloc as heap, string::String, vec::Vec};
use core::{alloc::Layout, cell::UnsafeCell, ptr, slice};

pub use crate::layout::Answer;
use crate::{layout, Agent, Context, Effect, Identity, Message};

const UNIT_BYTES: usize = 8;

/// A module's only agent, and the memory that it shares with the host between calls.
pub struct Slot<A>(UnsafeCell<Inner<A>>);

struct Inner<A> {
    agent: Option<A>,
    /// The block that the host fills with an inbox, in units of its alignment.
    inbox: Vec<u64>,
    effects: Vec<Effect>,
    lowered: Vec<layout::Effect>,
    error: String,
    answer: Answer,
}

// SAFETY: an agent has one thread, and the host never calls it while a call is under way.
unsafe impl<A> Sync for Slot<A> {}

impl<A: Agent> Slot<A> {
    /// An empty slot.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Slot<A> {
        Slot(UnsafeCell::new(Inner {
            agent: None,
            inbox: Vec::new(),
            effects: Vec::new(),
            lowered: Vec::new(),
            error: String::new(),
            answer: Answer { failed: 0, first: ptr::null(), count: 0 },
        }))
    }

    /// `tickwork_inbox`: a block for the whole inbox, valid until the next call of it.
    ///
    /// # Safety
    /// Only the host may call this, and only while no other call is under way.
    pub unsafe fn inbox(&self, size: usize) -> *mut u8 {
        let inner = &mut *self.0.get();
        let units = size / UNIT_BYTES + 1;
        if units > inner.inbox.len() {
            // Twice as much, so that slowly growing inboxes do not move each time; nothing is copied.
            let grown = units.max(inner.inbox.len() * 2);
            inner.inbox = Vec::new();
            inner.inbox.resize(grown, 0);
        }
        inner.inbox.as_mut_ptr().cast()
    }

    /// `setup`: takes over three blocks from `cabi_realloc`.
    ///
    /// # Safety
    /// As for `inbox`; the blocks must be what the ABI says.
    pub unsafe fn setup(&self, [id, config, abi]: [(*mut u8, usize); 3]) -> *const Answer {
        let inner = &mut *self.0.get();
        let me = Identity { id: owned_text(id), config: owned(config), abi: owned_text(abi) };
        let made = if me.abi.starts_with("1.") {
            A::setup(me)
        } else {
            Err("this agent needs a host with ABI 1.x".into())
        };
        match made {
            Ok(agent) => {
                inner.agent = Some(agent);
                inner.succeed()
            }
            Err(reason) => inner.fail(reason),
        }
    }

    /// `step`: reads an inbox from `inbox`, or takes over one that was made piece by piece by `cabi_realloc`.
    ///
    /// # Safety
    /// As for `setup`; the agent must have been set up.
    pub unsafe fn step(&self, now: Context, first: *mut u8, count: usize) -> *const Answer {
        let inner = &mut *self.0.get();
        inner.effects.clear();
        inner.lowered.clear();
        let messages: &[Message<'_>] =
            if count == 0 { &[] } else { slice::from_raw_parts(first.cast::<Message<'_>>(), count) };
        let agent = inner.agent.as_mut().expect("setup comes first");
        let stepped = agent.step(&now, messages);
        if count > 0 && !ptr::eq(first, inner.inbox.as_ptr().cast()) {
            free_pieces(first, messages);
        }
        match stepped {
            Ok(effects) => {
                inner.effects = effects;
                inner.succeed()
            }
            Err(reason) => inner.fail(reason),
        }
    }
}

impl<A> Inner<A> {
    fn succeed(&mut self) -> *const Answer {
        self.lowered.extend(self.effects.iter().map(Effect::lower));
        self.answer = Answer { failed: 0, first: self.lowered.as_ptr().cast(), count: self.lowered.len() };
        &self.answer
    }

    fn fail(&mut self, reason: String) -> *const Answer {
        self.error = reason;
        self.answer = Answer { failed: 1, first: self.error.as_ptr(), count: self.error.len() };
        &self.answer
    }
}

/// `cabi_realloc`.
///
/// # Safety
/// `old` must be a block of this function with this size and alignment, or `old_size` zero.
pub unsafe fn realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    // An empty block is its alignment, as an empty Vec's is.
    if size == 0 {
        return align as *mut u8;
    }
    let layout = Layout::from_size_align(size, align).expect("a layout of the ABI");
    let block = if old_size == 0 {
        heap::alloc(layout)
    } else {
        heap::realloc(old, Layout::from_size_align_unchecked(old_size, align), size)
    };
    if block.is_null() {
        heap::handle_alloc_error(layout);
    }
    block
}

unsafe fn owned((at, size): (*mut u8, usize)) -> Vec<u8> {
    if size == 0 {
        Vec::new()
    } else {
        Vec::from_raw_parts(at, size, size)
    }
}

unsafe fn owned_text(block: (*mut u8, usize)) -> String {
    // SAFETY: the host passes valid UTF-8 where the ABI says `string`.
    String::from_utf8_unchecked(owned(block))
}

unsafe fn free_pieces(first: *mut u8, messages: &[Message<'_>]) {
    for message in messages {
        for piece in [message.sender().as_bytes(), message.topic().as_bytes(), message.body()] {
            drop(owned((piece.as_ptr() as *mut u8, piece.len())));
        }
    }
    heap::dealloc(first, Layout::for_value(messages));
}
