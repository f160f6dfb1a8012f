//! Write an agent for tickwork: a type that implements [`Agent`], exported with [`export_agent!`].
//!
//! ```
//! use tickwork::{Agent, Context, Effect, Identity, Message};
//!
//! struct Greeter {
//!     id: String,
//! }
//!
//! impl Agent for Greeter {
//!     fn setup(me: Identity) -> Result<Self, String> {
//!         Ok(Greeter { id: me.id })
//!     }
//!
//!     fn step(&mut self, _now: &Context, inbox: &[Message]) -> Result<Vec<Effect>, String> {
//!         let greet = |message: &Message| Effect::reply(message, "greeting", format!("{} greets you", self.id));
//!         Ok(inbox.iter().map(greet).collect())
//!     }
//! }
//! # #[cfg(target_arch = "wasm32")]
//! tickwork::export_agent!(Greeter);
//! ```
//!
//! The crate needs no other crate and only `alloc`; an agent may use `std` or not. Nothing but the returned
//! effects leaves an agent, so agents can be tested as ordinary types with [`Message::new`]. A panic ends the
//! turn in a trap; return `Err` to say why.
//!
//! The ABI is `wit/tickwork-agent.wit`, package `tickwork:agent@1.0.0`.
#![no_std]
#![warn(missing_docs)]

extern crate alloc;

mod effect;
#[doc(hidden)]
pub mod exports;
pub mod json;
mod layout;
mod message;
mod random;

pub use effect::{Effect, Level};
pub use message::{Context, Identity, Message};
pub use random::Random;

use alloc::{string::String, vec::Vec};

/// A state machine: messages in, effects out.
pub trait Agent: Sized {
    /// Makes the agent, once, before any step. An error stops it.
    fn setup(me: Identity) -> Result<Self, String>;

    /// Takes one turn. The effects are performed in their order if the agent holds the grants; an error fails
    /// the turn, and then none is.
    fn step(&mut self, now: &Context, inbox: &[Message<'_>]) -> Result<Vec<Effect>, String>;
}

/// Exports a type that implements [`Agent`] as the module's agent; once per module.
#[macro_export]
macro_rules! export_agent {
    ($agent:ty) => {
        const _: () = {
            static SLOT: $crate::exports::Slot<$agent> = $crate::exports::Slot::new();

            #[export_name = "cabi_realloc"]
            unsafe extern "C" fn realloc(
                old: *mut u8,
                old_size: usize,
                align: usize,
                size: usize,
            ) -> *mut u8 {
                $crate::exports::realloc(old, old_size, align, size)
            }

            #[export_name = "tickwork_inbox"]
            unsafe extern "C" fn inbox(size: usize) -> *mut u8 {
                SLOT.inbox(size)
            }

            #[export_name = "setup"]
            unsafe extern "C" fn setup(
                id: *mut u8,
                id_size: usize,
                config: *mut u8,
                config_size: usize,
                abi: *mut u8,
                abi_size: usize,
            ) -> *const $crate::exports::Answer {
                SLOT.setup([(id, id_size), (config, config_size), (abi, abi_size)])
            }

            #[export_name = "step"]
            unsafe extern "C" fn step(
                tick: u64,
                now_ns: u64,
                seed: u64,
                fuel: u64,
                first: *mut u8,
                count: usize,
            ) -> *const $crate::exports::Answer {
                SLOT.step($crate::Context { tick, now_ns, seed, fuel }, first, count)
            }
        };
    };
}
